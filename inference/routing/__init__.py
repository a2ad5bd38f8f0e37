"""From a request to a server that answers it: the queue, the choice of a replica, and circuit breakers."""
