"""A command to try a new key with."""

import json
import shlex

from django.conf import settings

from accounts.models import DEFAULT_PROJECT, ApiKey
from inference.models import Model


def try_key(key: ApiKey, secret: str) -> str:
    """Return a command that streams an answer from the first model that can be called."""
    model = Model.objects.callable().order_by("-released_on", "id").first()
    body = {
        "model": model.pk if model else "owner/model",
        "messages": [{"role": "user", "content": "Say hello in one short sentence."}],
        "stream": True,
    }
    project = key.project.slug if key.project else DEFAULT_PROJECT
    return " \\\n  ".join(
        [
            f"curl --no-buffer {shlex.quote(f'{settings.PUBLIC_URL}/v1/chat/completions')}",
            f"--header {shlex.quote(f'Authorization: Bearer {secret}')}",
            f"--header {shlex.quote(f'OpenAI-Project: {key.team.slug}/{project}')}",
            "--header 'Content-Type: application/json'",
            f"--data {shlex.quote(json.dumps(body))}",
        ]
    )
