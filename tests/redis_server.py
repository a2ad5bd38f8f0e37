"""A real Redis of the tests' own: in a temporary folder, on a free loopback port, with a password."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from tests.patience import until
from tests.postgresql import free_port

PASSWORD = "open@sesame"


class RedisServer:
    """One server, which can be killed and started again at the same address; ``url`` connects to it."""

    def __init__(self) -> None:
        """Start it."""
        if not shutil.which("redis-server"):
            raise RuntimeError("Redis is not installed: install the Debian package `redis-server`")
        self._folder = Path(tempfile.mkdtemp(prefix="parley-redis-"))
        self._port = free_port()
        self.url = f"redis://:{quote(PASSWORD)}@127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it with an empty memory; returns when it answers."""
        options = {"port": str(self._port), "bind": "127.0.0.1", "save": "", "dir": str(self._folder)}
        command = ["redis-server", "--requirepass", PASSWORD]
        for name, setting in options.items():
            command += [f"--{name}", setting]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until(self._answers)

    def kill(self) -> None:
        """End it without a word; what it knew is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Have it take what it is sent, and answer nothing while the block runs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """Connect to it, beside the site; to be closed."""
        return Redis.from_url(self.url)

    def _answers(self) -> bool:
        with suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False
