"""``manage.py serve``: the web server and the embedded engine, in one tree of processes."""

import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from asgiref.typing import ASGI3Application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from config import banner, demo
from config.management.base import wait_for_database
from config.readiness import is_migrated
from config.serving import SERVERS, load, run
from config.serving.workers import Workers
from core.locks import Taken, identity, locked
from inference.embedded.engine import (
    MODEL_ID,
    EmbeddedEngine,
    EmbeddedModel,
    ModelNotInstalled,
    pulled_models,
    small_model,
)
from inference.models import Endpoint, Model
from inference.runs import orphans

logger = logging.getLogger(__name__)

# The first start of an engine is waited for this long; then the site serves without it, and it goes on trying.
ENGINE_SECONDS = 60
MAX_WORKERS = 64
# For threads that still wait, when all else has ended.
LEAVING_SECONDS = 3


class Command(BaseCommand):
    help = "Serve the site, with the embedded engine beside it, until SIGTERM or Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--server", choices=SERVERS, default="daphne")
        parser.add_argument("--host", default=settings.HOST, help="address to listen on (HOST)")
        parser.add_argument(
            "--port",
            type=_whole(0, 65535),
            metavar="N",
            default=settings.PORT,
            help="port to listen on (PORT); 0: any free one",
        )
        parser.add_argument(
            "--workers",
            type=_whole(1, MAX_WORKERS),
            metavar="N",
            default=settings.WORKERS,
            help="web processes (WORKERS)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        settings.WORKERS = options["workers"]
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(settings.DATA_DIR / "serve.lock", wait=False))
            except Taken:
                raise CommandError(f"Another `serve` is running on {settings.DATA_DIR}.") from None
            wait_for_database(self.stderr)
            _check_migrations()
            _clear_up()
            _check_login(options["host"])
            listener = stack.enter_context(_bound_socket(options["host"], options["port"]))
            _adopt_address(options["host"], listener)
            engines = self._start_engines(stack)
            if settings.WORKERS == 1:
                # While the engines load their models.
                load(options["server"])
                _application()
            for engine, model in engines.items():
                self._await(engine, model)
            greeting = banner.text(bool(engines))
            if settings.WORKERS > 1:
                self._serve_together(listener, options["server"], greeting)
            else:
                self._serve(listener, options["server"], greeting)
            self._say("Parley has ended.")
        _leave_in_time()

    def _serve(self, listener: socket.socket, server: str, greeting: str) -> None:
        try:
            run(_application(), listener, server, lambda: self._say(greeting))
        except RuntimeError as error:
            raise CommandError(str(error)) from error

    def _serve_together(self, listener: socket.socket, server: str, greeting: str) -> None:
        # Nothing is asked of the database here while all goes well.
        connection.close()
        workers = Workers(settings.WORKERS, listener, server)
        has_begun = workers.start()
        has_failed = not has_begun and not workers.is_ending
        if has_begun:
            self._say(greeting)
        elif has_failed:
            workers.end()
        workers.wait()
        if has_failed:
            raise CommandError("A web process could not start.")

    def _start_engines(self, stack: ExitStack) -> dict[EmbeddedEngine, EmbeddedModel]:
        """Start an engine for each embedded model; they end with the stack."""
        if not settings.EMBEDDED_ENGINE:
            return {}
        models = pulled_models()
        if not Model.objects.filter(id=MODEL_ID).exists():
            self._say(f"{MODEL_ID} is not in the catalogue (`manage.py bootstrap` adds it): serving without it.")
        elif not (models and Endpoint.objects.filter(model=MODEL_ID, is_embedded=True, is_enabled=False).exists()):
            try:
                models = [small_model(), *models]
            except ModelNotInstalled as error:
                raise CommandError(f"{error} Run `make setup`, or serve without it: EMBEDDED_ENGINE=false.") from None
        return {stack.enter_context(EmbeddedEngine(model)): model for model in models}

    def _await(self, engine: EmbeddedEngine, model: EmbeddedModel) -> None:
        """Wait until an engine answers, with a dot for each second."""
        began = time.monotonic()
        self._say(f"Starting the embedded engine ({model.id}) ", ending="")
        while not engine.is_ready.wait(1) and time.monotonic() - began < ENGINE_SECONDS:
            self._say(".", ending="")
        self._say(" ready" if engine.is_ready.is_set() else f" not ready yet; see {model.log}")

    def _say(self, text: str, ending: str = "\n") -> None:
        """Print at once, into a pipe as well."""
        self.stdout.write(text, ending=ending)
        self.stdout.flush()


def _application() -> ASGI3Application:
    """Return the site; it is built when this is called first, which must be when its address is known."""
    # WhiteNoise wants it to be there.
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    from config.asgi import application

    return application


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads an argument that is a whole number in this range."""

    def read(text: str) -> int:
        number = int(text) if text.strip().isdecimal() else -1
        if not least <= number <= most:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return number

    return read


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End cleanly when told to before the web server has taken over."""
    sys.exit(0)


def _leave_in_time() -> None:
    """Have the process end soon: Python waits without end for threads, and those for a database that says nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # There is nothing left to end sooner.
        signal.signal(number, signal.SIG_IGN)
    leaving = threading.Timer(LEAVING_SECONDS, _leave_threads)
    leaving.daemon = True
    leaving.start()


def _leave_threads() -> None:
    logger.warning("Threads still wait for an answer, of the database perhaps: ending without them")
    os._exit(0)


def _check_migrations() -> None:
    if not is_migrated():
        raise CommandError("The database is not up to date: run `manage.py migrate` first.")


def _clear_up() -> None:
    """Expire what the processes held that served from this DATA_DIR before; with its lock, we know they are dead."""
    if count := orphans.expire_of(identity(settings.DATA_DIR)):
        logger.warning("%d runs were cut short when Parley last ended: what they held has expired", count)


def _check_login(host: str) -> None:
    """Keep a login that was printed to a terminal away from the network. Raises CommandError."""
    reached = {
        f"listen on {host}": host,
        f"serve {settings.PUBLIC_URL} (PUBLIC_URL)": urlsplit(settings.PUBLIC_URL).hostname or "",
        **{f"serve {name} (ALLOWED_HOSTS)": name.strip("[]") for name in settings.ALLOWED_HOSTS},
    }
    public = [what for what, name in reached.items() if not _is_loopback(name)]
    if public and (email := demo.live_login()):
        raise CommandError(
            f"Refusing to {public[0]} while the demo login of {email} still works: anyone who saw it printed "
            f"could sign in. Choose a new password first: manage.py changepassword {email}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bound_socket(host: str, port: int) -> socket.socket:
    """Take the port before anything else is started. Raises CommandError with a plain sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except UnicodeError:
        raise CommandError(f"Cannot listen on {host}: that is no name of a host. Choose another with HOST=….") from None
    except OSError as error:
        raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with PORT=….") from None
    return listener


def _adopt_address(host: str, listener: socket.socket) -> None:
    """Let the settings say where we really are, unless the operator named the public address."""
    port = listener.getsockname()[1]
    if f"http://{settings.HOST}:{settings.PORT}" == settings.PUBLIC_URL:
        settings.PUBLIC_URL = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if host not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS.append(host)
