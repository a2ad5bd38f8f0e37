"""The one place that turns a conversation into a request, for running it and for showing it as code."""

from collections.abc import Iterable
from typing import Any

import msgspec

from playground.conversations import branches
from playground.models import Conversation, Message

# The parameters that people can set, in the order in which they stand in the request.
PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "response_format",
)

Body = dict[str, Any]

EXAMPLE_PROMPT = "Explain gravity to a child in three sentences."


def next_request(conversation: Conversation) -> Body:
    """Return the request that would be sent now, with the draft as the last turn where there is one.

    Where nothing is said yet, an example is: a request without messages would be refused.
    """
    turns = list(_turns(branches.shown(conversation)))
    prompt = conversation.draft or ("" if turns else EXAMPLE_PROMPT)
    if prompt:
        turns.append({"role": "user", "content": prompt})
    return _body(settings_of(conversation), turns)


def request_of(answer: Message) -> Body:
    """Return the request that made ``answer``, whatever the conversation's settings are by now."""
    return _body(answer.asked_with, list(_turns(branches.before(answer))))


def example_request(model: str) -> Body:
    """Return a first request to try a model with."""
    settings = {"model": model, "system_prompt": "", "parameters": {}}
    return _body(settings, [{"role": "user", "content": EXAMPLE_PROMPT}])


def settings_of(conversation: Conversation) -> dict[str, Any]:
    """Return what an answer is asked for with, besides the turns."""
    return {name: getattr(conversation, name) for name in Message.SETTINGS}


def encode(body: Body) -> bytes:
    """Return the bytes that ``web.chat.parse`` reads."""
    return msgspec.json.encode(body)


def _turns(messages: Iterable[Message]) -> Iterable[dict[str, str]]:
    """Leave out answers that have no text: a model cannot continue from nothing."""
    for message in messages:
        if message.content:
            yield {"role": message.role, "content": message.content}


def _body(settings: dict[str, Any], turns: list[dict[str, str]]) -> Body:
    if settings["system_prompt"]:
        turns.insert(0, {"role": "system", "content": settings["system_prompt"]})
    parameters = settings["parameters"]
    return {
        "model": settings["model"],
        "messages": turns,
        **{name: parameters[name] for name in PARAMETERS if name in parameters},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
