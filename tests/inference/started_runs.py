"""Rows of runs, as if these had been settled; the ledger knows nothing of them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Project, User
from inference.models import Model, Price, Run
from tests.inference.scenes import MODEL


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
