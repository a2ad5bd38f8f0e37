"""The site for the gateway's bench: ``python -m bench.site uvicorn|daphne`` prints its port once it listens."""

import os
import socket
import sys

import django


def main() -> None:
    """Serve on a free loopback port until SIGTERM."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config import serving
    from config.asgi import application

    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    serving.run(application, listener, sys.argv[1], lambda: print(port, flush=True))


if __name__ == "__main__":
    main()
