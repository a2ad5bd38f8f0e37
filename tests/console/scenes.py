"""What the console's tests need to have happened."""

import time
import uuid
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from django.utils import timezone

from accounts import keys
from accounts.models import Project, User
from inference.models import Model, Price, Run

MODEL = "fable/fox-1b"


def model(model_id: str = MODEL) -> Model:
    """Put a model with a price into the catalogue."""
    found, _ = Model.objects.get_or_create(id=model_id, defaults={"name": "Fox", "context_tokens": 4096})
    if not found.prices.exists():
        Price.objects.create(
            model=found,
            starts_at=timezone.now() - timedelta(days=1),
            input_microcredits_per_mtok=220_000,
            output_microcredits_per_mtok=220_000,
            cached_input_microcredits_per_mtok=110_000,
        )
    return found


def run(project: Project, user: User, *, cost_nano: int = 1_000, at: datetime | None = None, **fields: Any) -> Run:
    """Write a run, as if it had been settled."""
    started_at = at or timezone.now()
    fox = model(fields.pop("model_id", MODEL))
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "price": fox.prices.get(),
        "started_at": started_at,
        "ended_at": started_at,
        "ending": Run.Ending.STOP,
        "prompt_tokens": 10,
        "delivered_tokens": 5,
        "cost_nano": cost_nano,
    }
    return Run.objects.create(project=project, user=user, model=fox, **(values | fields))


def call_for_a_second(secret: str) -> None:
    """Call with a key until it is refused, for a second at most."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        keys.authenticate(secret, None)


class Page(HTMLParser):
    """What a page says, and what it would do that its policy forbids."""

    def __init__(self, response: Any) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.foreign: list[str] = []
        self.values: dict[str, str] = {}
        self._script: str | None = None
        self.feed(response.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in found and found.get("type") != "application/json"):
            self.inline.append(tag)
        if tag != "a":
            self.foreign += [value for name, value in found.items() if name in ("src", "href") and "//" in value]
        if tag == "input" and "name" in found:
            self.values[found["name"]] = found.get("value", "")
