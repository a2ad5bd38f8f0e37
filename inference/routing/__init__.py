"""From a request to a server that answers it: the line, the choice among replicas, and who is trusted."""
