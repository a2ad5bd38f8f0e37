"""Which conversation a request belongs to, so that it goes back to the replica that has its beginning in the cache."""

import re
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import msgspec

from inference.chat import Chat, Message, TextPart

# Of a system message, so many lines are looked at.
MAX_LINES: Final = 64
# Times, dates, counters and ids change from turn to turn; so do lines like x-anthropic-billing-header.
_DIGIT: Final = re.compile(r"\d")

_encode = msgspec.json.Encoder().encode


def affinity_of(project_id: int, chat: Chat) -> int:
    """Return a number that stays the same while a conversation grows: the same in every process.

    It is made of what every turn repeats: the project, the tools, and the messages up to the first of the user's. Of a
    system message one line stands for all: agents write something new into theirs with each turn, which is rarely that
    line. Who sends a ``prompt_cache_key`` says by that what belongs together.
    """
    beginning: Any = (project_id, chat.prompt_cache_key)
    if not chat.prompt_cache_key:
        opening = next((n for n, message in enumerate(chat.messages, start=1) if message.role == "user"), 1)
        beginning = (project_id, chat.tools, [_standing(message) for message in chat.messages[:opening]])
    return int.from_bytes(blake2b(_encode(beginning), digest_size=7).digest())


def _standing(message: Message) -> Message | str:
    """Return what of a message is the same in every turn."""
    if message.role not in ("system", "developer"):
        return message
    lines = [line for line in islice(_text(message).splitlines(), MAX_LINES) if line.strip()]
    # Of the same lines the same one, wherever it stands.
    return min([line for line in lines if not _DIGIT.search(line)] or lines, key=_order, default="")


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content or () if isinstance(part, TextPart))


def _order(line: str) -> bytes:
    return blake2b(line.encode(), digest_size=8).digest()
