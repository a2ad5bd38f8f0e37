"""Which conversation a request belongs to, so that it goes back to the replica that has its beginning in the cache."""

from hashlib import blake2b

import msgspec

from inference.chat import Chat

_encode = msgspec.json.Encoder().encode


def affinity_of(project_id: int, chat: Chat) -> int:
    """Return a number that stays the same while a conversation grows: the same in every process.

    It is made of what every turn repeats: the project, the tools, and the messages up to the first of the user's.
    """
    opening = next((n for n, message in enumerate(chat.messages, start=1) if message.role == "user"), 1)
    beginning = _encode((project_id, chat.tools, chat.messages[:opening]))
    return int.from_bytes(blake2b(beginning, digest_size=7).digest())
