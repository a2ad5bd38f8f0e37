"""The one place that turns a conversation into a request, for running it and for showing it as code."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from inference.chat import Chat
from playground.conversations import branches, images
from playground.models import Conversation, Message

# The parameters that have a control of their own, in the order in which they stand in the request.
PARAMETERS: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "response_format",
)
# What the conversation itself says, and what the page does not ask for.
_NOT_SET: Final = {"model", "messages", "stream", "stream_options", "n"}
# Everything that can be set, those without a control as JSON.
SETTABLE: Final = (*PARAMETERS, *(name for name in Chat.__struct_fields__ if name not in {*PARAMETERS, *_NOT_SET}))

Body = dict[str, Any]

EXAMPLE_PROMPT = "Explain gravity to a child in three sentences."
# Under this name an answer's settings keep the words that it was to go on from.
PREFILL: Final = "prefill"


def next_request(conversation: Conversation, pictures: Sequence[str] = ()) -> Body:
    """Return the request that would be sent now, with the draft and its pictures as the last turn where there are any.

    Where nothing is said yet, an example is: a request without messages would be refused.
    """
    turns = _turns(branches.shown(conversation)) if conversation.pk and not conversation._state.adding else []
    prompt = conversation.draft or ("" if turns or pictures else EXAMPLE_PROMPT)
    if prompt or pictures:
        draft = Message(conversation=conversation, role=Message.Role.USER, content=prompt, images=list(pictures))
        turns += _turns([draft])
    return _body(settings_of(conversation), turns)


def request_of(answer: Message) -> Body:
    """Return the request that made ``answer``, whatever the conversation's settings are by now."""
    turns = _turns(branches.before(answer))
    if prefill := answer.asked_with.get(PREFILL):
        turns.append({"role": "assistant", "content": prefill})
    return _body(answer.asked_with, turns)


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


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Leave out answers that say nothing: a model cannot continue from nothing."""
    speaking = [each for each in messages if each.content or each.tool_calls or each.images or each.role == "tool"]
    shown = images.data_urls([image for message in speaking for image in message.images])
    return [_turn(message, [shown[image] for image in message.images if image in shown]) for message in speaking]


def _turn(message: Message, pictures: list[str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role}
    if pictures:
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
        turn["content"] = [*parts, *([{"type": "text", "text": message.content}] if message.content else [])]
    elif message.content or not message.tool_calls:
        turn["content"] = message.content
    if message.tool_calls:
        turn["tool_calls"] = message.tool_calls
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _body(settings: dict[str, Any], turns: list[dict[str, Any]]) -> Body:
    if settings["system_prompt"]:
        turns.insert(0, {"role": "system", "content": settings["system_prompt"]})
    parameters = settings["parameters"]
    return {
        "model": settings["model"],
        "messages": turns,
        **{name: parameters[name] for name in SETTABLE if name in parameters},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
