"""What the operating system is asked for: open files, and to notice clients that vanished."""

import resource
import socket
from typing import Final

from django.conf import settings

# More connections than one process serves well.
MOST_FILES: Final = 65_536
# Kept for what is no client: the database, engines, logs. At least a share, since each answer takes one more.
RESERVED_FILES: Final = 128
RESERVED_SHARE: Final = 4

# A client that says nothing is asked whether it is there, in seconds, then again, and is gone after so many silences.
KEEP_ALIVE_IDLE_SECONDS: Final = 60
KEEP_ALIVE_AGAIN_SECONDS: Final = 15
KEEP_ALIVE_PROBES: Final = 4


def raise_limit() -> None:
    """Let this process, and those that it starts, open as many files as the system allows, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """Return how many clients may be connected, so that enough files are left for everything else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)
    return max(1, files - max(RESERVED_FILES, files // RESERVED_SHARE))


def notice_vanished_clients(listener: socket.socket) -> None:
    """Have the kernel end connections whose clients do not answer any more; each one takes this over from its listener.

    Linux ends those that leave what they were sent unread for READER_SECONDS and LINGER_SECONDS, too.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    unread_seconds = settings.READER_SECONDS + settings.LINGER_SECONDS
    options = {
        "TCP_KEEPIDLE": KEEP_ALIVE_IDLE_SECONDS,
        "TCP_KEEPINTVL": KEEP_ALIVE_AGAIN_SECONDS,
        "TCP_KEEPCNT": KEEP_ALIVE_PROBES,
        # In milliseconds.
        "TCP_USER_TIMEOUT": int(unread_seconds * 1000),
    }
    for name, value in options.items():
        # Each of them is missing on some system.
        if option := getattr(socket, name, None):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
