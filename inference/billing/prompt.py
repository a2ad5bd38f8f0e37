"""How many tokens a prompt can have at most, and how many it has about, without asking anyone."""

import msgspec

from inference.chat import Chat, Continuation, Reading

# An average of four bytes a token holds for English text in byte-level vocabularies.
BYTES_PER_TOKEN = 4

# What servers put before a plain prompt, and around its suffix.
_MARKS = 8

# As wide as templates indent the tools that they write into a prompt.
_INDENT = 4
# What TGI's templates write as six characters, such as ``\\u003c``.
_ESCAPED, _ESCAPED_EXTRA_BYTES = (b"<", b">", b"&", b"'"), 5


class Overhead(msgspec.Struct, frozen=True):
    """What a model adds to the words of a prompt, in tokens at most: its template, in three shapes; and an image.

    Without a figure for images, the model reads none (``ModelSnapshot.check``); were one sent all the same, its data
    would be taken for text.
    """

    plain: int
    system: int
    tools: int
    image: int | None

    def template(self, chat: Chat) -> int:
        """Return what the template adds to a chat of its shape."""
        if chat.tools:
            return self.tools
        return self.system if any(message.role in ("system", "developer") for message in chat.messages) else self.plain


def bound(chat: Chat, overhead: Overhead) -> int:
    """Return the most tokens that a chat can be: no byte-level vocabulary makes more of a text than it has bytes."""
    if isinstance(chat, Reading):
        return chat.task.tokens(1) + chat.task.texts * overhead.plain
    if isinstance(chat, Continuation):
        return _continued(chat, 1) + _MARKS
    structure = _structure(chat)
    return _message_tokens(chat, overhead.image, 1) + _written_bytes(structure) + overhead.template(chat)


def estimate(chat: Chat, image_tokens: int | None) -> int:
    """Guess the tokens of a chat from its length; an image counts as much as one can."""
    if isinstance(chat, Reading):
        return max(1, chat.task.tokens(BYTES_PER_TOKEN))
    if isinstance(chat, Continuation):
        return max(1, _continued(chat, BYTES_PER_TOKEN))
    return max(1, _message_tokens(chat, image_tokens, BYTES_PER_TOKEN) + len(_structure(chat)) // BYTES_PER_TOKEN)


def _continued(chat: Continuation, bytes_per_token: int) -> int:
    """Measure what is continued, and what follows behind it."""
    prompt = len(chat.prompt.encode()) // bytes_per_token if isinstance(chat.prompt, str) else len(chat.prompt)
    return prompt + len((chat.suffix or "").encode()) // bytes_per_token


def _message_tokens(chat: Chat, image_tokens: int | None, bytes_per_token: int) -> int:
    """Measure the messages as JSON, but their images in tokens."""
    text_bytes, tokens = len(msgspec.json.encode(chat.messages)), 0
    if image_tokens is not None:
        for url, _ in chat.images():
            text_bytes -= len(url)
            tokens += image_tokens
    return text_bytes // bytes_per_token + tokens


def _structure(chat: Chat) -> bytes:
    """Return what templates write into a prompt as JSON, if there is any of it."""
    structured = [each for each in (chat.tools, chat.response_format, chat.chat_template_kwargs) if each]
    return msgspec.json.encode(structured) if structured else b""


def _written_bytes(structure: bytes) -> int:
    """Measure it as wide as they may write it."""
    if not structure:
        return 0
    escaped = sum(map(structure.count, _ESCAPED))
    return len(msgspec.json.format(structure, indent=_INDENT)) + escaped * _ESCAPED_EXTRA_BYTES
