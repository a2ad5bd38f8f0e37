"""What the programs have in common: where the site is, and how they report."""

import json
import os
from collections.abc import Callable
from typing import Any

ROOT, URL, MODEL = os.environ["PARLEY_ROOT"], os.environ["PARLEY_URL"], os.environ["PARLEY_MODEL"]
KEY, POOR_KEY = os.environ["PARLEY_KEY"], os.environ["POOR_KEY"]
# More than the model's context.
LONG = "word " * 12_000
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK_WEATHER = "What does get_weather say?"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def report(**found: Any) -> None:
    """Print the report."""
    print("REPORT " + json.dumps(found, default=str))


def caught(call: Callable[[], Any]) -> dict[str, Any]:
    """Return how a call fails, as its client knows it."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
        names = [kind.__name__ for kind in type(error).__mro__]
        told = {name: getattr(error, name, None) for name in ("status_code", "code")}
        return {"kinds": names, "status": told["status_code"], "code": told["code"], "message": str(error)[:500]}
    return {"kinds": []}
