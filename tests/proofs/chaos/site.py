"""The parts of the site: PostgreSQL, Redis, two engines and two web processes, with a network between them."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from tests.fakes.tgi import FakeTgi
from tests.postgresql import PostgreSQL
from tests.proofs.chaos.wire import Wire
from tests.redis_server import RedisServer
from tests.site import Serve

SERVERS: Final = ("daphne", "uvicorn")
SECRET_KEY: Final = "chaos-" + "0" * 60
# Holds grow in an answer; what hangs is given up soon, so that minutes hold many faults.
SETTINGS: Final = {
    "SLICE_TOKENS": "16",
    "MINIMUM_ANSWER_TOKENS": "2",
    "IDEMPOTENCY_LEASE_SECONDS": "3",
    "RECONNECT_GRACE_SECONDS": "1",
    "FIRST_TOKEN_SECONDS": "5",
    "BETWEEN_TOKENS_SECONDS": "3",
    "RUN_SECONDS": "20",
    "QUEUE_SECONDS": "5",
    "HOLD_WAIT_SECONDS": "5",
    "HOLD_GRACE_SECONDS": "5",
    "READER_SECONDS": "5",
    "DATABASE_WAIT_SECONDS": "60",
    "EMBEDDED_ENGINE": "false",
    "ENGINE_NETWORKS": "127.0.0.0/8",
    "LOG_LEVEL": "ERROR",
    "DATABASE_POOL_SIZE": "10",
}


class Site:
    """All parts, running between ``with`` and its end; the database is migrated by whoever calls ``serve``."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.postgresql, self.redis = PostgreSQL(), RedisServer()
            stack.callback(self.postgresql.stop)
            stack.callback(self.redis.stop)
            self.engines = [stack.enter_context(FakeTgi()) for _ in range(2)]
            self.to_database = stack.enter_context(Wire(_port(self.postgresql.url)))
            self.to_redis = stack.enter_context(Wire(_port(self.redis.url)))
            self.to_engines = [stack.enter_context(Wire(engine.port)) for engine in self.engines]
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-chaos-")))
            self.processes: list[Serve] = []
            self._running = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def serve(self) -> None:
        """Start the web processes, which reach everything by the wires."""
        urls = {"DATABASE_URL": self.to_database.of(self.postgresql.url), "REDIS_URL": self.to_redis.of(self.redis.url)}
        for number, server in enumerate(SERVERS):
            folder = self._folder / f"machine-{number}"
            folder.mkdir()
            process = Serve(folder, server, SECRET_KEY=SECRET_KEY, **urls, **SETTINGS)
            process.launch()
            self._running.callback(process.kill)
            self.processes.append(process)
        for process in self.processes:
            process.wait_until_ready()

    def connect(self) -> None:
        """Have this very process use the same database, past the wire."""
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": self.postgresql.url,
            "DATA_DIR": str(self._folder / "auditor"),
            "SECRET_KEY": SECRET_KEY,
            "ENGINE_NETWORKS": SETTINGS["ENGINE_NETWORKS"],
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
