"""What a fresh installation starts with: an operator, a team with credits, a key, and the embedded model.

Made once. The random values are kept in ``DATA_DIR/bootstrap.json``; what an operator later changes, revokes or deletes
stays that way.
"""

import datetime
import json
import os
import secrets
from pathlib import Path
from typing import TypedDict, cast

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import key_format, keys
from accounts.models import DEFAULT_PROJECT, ApiKey, Team, User
from core.locks import locked
from credits import ledger
from credits.models import NANO
from inference.embedded.engine import MODEL_ID
from inference.models import Model, Price

EMAIL = "admin@parley.local"
TEAM = "demo"
CREDITS_NANO = 10 * NANO
# Dollars per million tokens, times 1,000,000.
INPUT_MICROCREDITS_PER_MTOK = 20_000
OUTPUT_MICROCREDITS_PER_MTOK = 40_000


class Admin(TypedDict):
    """The operator's login."""

    email: str
    password: str


class Demo(TypedDict):
    """What ``bootstrap --json`` prints."""

    url: str
    project: str
    api_key: str
    model: str
    admin: Admin


class SecretsLost(Exception):
    """The demo exists in the database, but its values are not in this DATA_DIR: they cannot be shown again."""


def ensure() -> Demo:
    """Return the demo's values, making the demo at the first call. Raises SecretsLost. Safe to run twice at once."""
    with locked(settings.DATA_DIR / "bootstrap.lock", wait=True):
        path, draft = _path(), _path().with_suffix(".draft")
        is_fresh = not User.objects.exists() and not Team.objects.exists()
        is_made = User.objects.filter(email=EMAIL).exists() or Team.objects.filter(slug=TEAM).exists()
        if is_made and draft.exists():
            # We were killed between the database's commit and this step.
            draft.replace(path)
        if is_fresh or not (is_made or path.exists()):
            with transaction.atomic():
                _write(draft, _make())
            draft.replace(path)
    found = read()
    if found is None:
        raise SecretsLost
    return found


def read() -> Demo | None:
    """Return the demo's values, with today's address; None if this DATA_DIR has none."""
    try:
        kept = json.loads(_path().read_text())
    except FileNotFoundError:
        return None
    kept["url"] = settings.PUBLIC_URL
    return cast(Demo, {name: kept[name] for name in Demo.__annotations__})


def take_unshown() -> Demo | None:
    """Return the demo's values where they were never shown before; whoever takes them shows them."""
    with locked(settings.DATA_DIR / "bootstrap.lock", wait=True):
        demo = read()
        mark = settings.DATA_DIR / "bootstrap.shown"
        if demo is None or mark.exists():
            return None
        mark.touch()
        return demo


def live_login() -> str | None:
    """Return the address of somebody whom a printed password still lets in, on whatever machine it was printed."""
    printed = User.objects.filter(has_printed_password=True, is_active=True).first()
    if printed:
        return printed.email
    # The version before this one left no mark in the database.
    demo = read()
    user = User.objects.filter(email=demo["admin"]["email"], is_active=True).first() if demo else None
    return user.email if demo and user and user.check_password(demo["admin"]["password"]) else None


def key_is_live(demo: Demo) -> bool:
    """Whether the key that was printed still works."""
    return ApiKey.objects.live().filter(digest=key_format.digest(demo["api_key"])).exists()


def _path() -> Path:
    path: Path = settings.DATA_DIR / "bootstrap.json"
    return path


def _make() -> dict[str, object]:
    """Fill the database; return what is kept in the file."""
    password = secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(EMAIL, password)
    User.objects.filter(pk=admin.pk).update(has_printed_password=True)
    team = Team.objects.create_with_owner(TEAM, admin)
    project = team.projects.get(slug=DEFAULT_PROJECT)
    _, secret = keys.create(name="demo", issuer=admin, team=team, project=project)
    ledger.grant(team.pk, CREDITS_NANO, reason="demo", actor="bootstrap")
    _make_model()
    return {
        "project": str(project),
        "api_key": secret,
        "model": MODEL_ID,
        "admin": {"email": EMAIL, "password": password},
    }


def _make_model() -> None:
    """Put the embedded model into the catalogue; its endpoint comes with the engine's first start."""
    model, is_new = Model.objects.get_or_create(
        id=MODEL_ID,
        defaults={
            "name": "SmolLM2 135M Instruct",
            "description": "A very small chat model that runs on the site's own processor: it shows that everything "
            "works, quickly and for next to nothing. Do not expect facts from it.",
            "context_tokens": settings.EMBEDDED_CONTEXT_TOKENS,
            "modalities": ["text"],
            "features": ["json_mode", "structured_output"],
            "parameters_total": 134_515_008,
            "parameters_active": 134_515_008,
            "license": "apache-2.0",
            "hub_url": f"https://huggingface.co/{MODEL_ID}",
            "released_on": datetime.date(2024, 11, 1),
        },
    )
    if is_new:
        Price.objects.create(
            model=model,
            starts_at=timezone.now(),
            input_microcredits_per_mtok=INPUT_MICROCREDITS_PER_MTOK,
            output_microcredits_per_mtok=OUTPUT_MICROCREDITS_PER_MTOK,
            cached_input_microcredits_per_mtok=INPUT_MICROCREDITS_PER_MTOK,
        )


def _write(path: Path, values: dict[str, object]) -> None:
    """Write a file that only its owner reads, and that is on the disk when this returns."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(values, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
