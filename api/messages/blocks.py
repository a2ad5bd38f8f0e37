"""The blocks of Anthropic's messages, as the messages of a chat."""

from typing import Any, Final

import msgspec

from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat.tools import short_name
from web.chat.turns import Turns

# What Anthropic's own tools did, what was thought under a seal, and what has no place in a prompt.
_LEFT_OUT: Final = (
    *("redacted_thinking", "server_tool_use", "container_upload", "compaction", "mcp_tool_use", "mcp_tool_result"),
    *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result", "tool_search_tool_result"),
    *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_reference"),
)

Parts = list[dict[str, Any]]


class BlockTurns(Turns):
    """The messages of a chat, put together from messages of blocks."""

    def __init__(self, ignored: list[str]) -> None:
        super().__init__()
        self._ignored = ignored

    def take(self, message: dict[str, Any], path: str) -> None:
        """Add a message. Raises InvalidRequest."""
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant", "system"):
            raise InvalidRequest(f"{path}.role is user, assistant or system.", param=f"{path}.role")
        if isinstance(content, str):
            blocks: list[Any] = [{"type": "text", "text": content}]
        elif isinstance(content, list):
            blocks = content
        else:
            raise InvalidRequest(f"{path}.content is a text or a list of blocks.", param=f"{path}.content")
        if role == "system":
            self.instruct("\n\n".join(_text_in(block, path) for block in blocks), path)
        elif role == "assistant":
            self._take_spoken(blocks, path)
        else:
            self._take_asked(blocks, path)

    def _take_spoken(self, blocks: list[Any], path: str) -> None:
        """Add what the assistant thought, said and called."""
        texts = []
        for place, block in enumerate(blocks):
            at = f"{path}.content[{place}]"
            kind = _kind(block, at)
            if kind == "text":
                texts.append(_field(block, "text", at))
            elif kind == "thinking":
                self.think(_field(block, "thinking", at), path)
            elif kind == "tool_use":
                if texts:
                    self.say("".join(texts), path)
                    texts = []
                arguments = msgspec.json.encode(block.get("input") or {}).decode()
                self.call(_field(block, "id", at), short_name(_field(block, "name", at)), arguments, path)
            elif kind in _LEFT_OUT:
                self._ignored.append(at)
            else:
                raise InvalidRequest(f"{at}.type: {kind!r} is no type of a block.", param=f"{at}.type")
        if texts or not blocks:
            self.say("".join(texts), path)

    def _take_asked(self, blocks: list[Any], path: str) -> None:
        """Add what tools gave, and behind it what the user says."""
        parts: Parts = []
        for place, block in enumerate(blocks):
            at = f"{path}.content[{place}]"
            if _kind(block, at) == "tool_result":
                content = _simple(self._result(block, at))
                self.add({"role": "tool", "tool_call_id": _field(block, "tool_use_id", at), "content": content}, at)
            else:
                parts += self._parts(block, at)
        if parts:
            self.add({"role": "user", "content": _simple(parts)}, path)
        elif not blocks:
            raise InvalidRequest(f"{path}.content is empty.", param=f"{path}.content")

    def _result(self, block: dict[str, Any], path: str) -> Parts:
        """Return what a tool gave; that it failed is said in words, for there is no other place for it."""
        content = block.get("content")
        if content is None or isinstance(content, str):
            parts: Parts = [{"type": "text", "text": content or ""}]
        elif isinstance(content, list):
            parts = [
                part for place, inner in enumerate(content) for part in self._parts(inner, f"{path}.content[{place}]")
            ]
        else:
            raise InvalidRequest(f"{path}.content is a text or a list of blocks.", param=f"{path}.content")
        said = "".join(part.get("text", "") for part in parts)
        if block.get("is_error") and not said.lower().startswith("error"):
            return [{"type": "text", "text": "Error:"}, *parts]
        return parts

    def _parts(self, block: Any, path: str) -> Parts:
        """Return a block as parts of a chat's message."""
        kind = _kind(block, path)
        if kind == "text":
            return [{"type": "text", "text": _field(block, "text", path)}]
        if kind == "image":
            return [{"type": "image_url", "image_url": {"url": _image(block.get("source"), path)}}]
        if kind == "document":
            return [{"type": "text", "text": _document(block, path)}]
        if kind == "search_result":
            content = block.get("content")
            if not isinstance(content, list):
                raise InvalidRequest(f"{path}.content is a list of blocks.", param=f"{path}.content")
            texts = [_text_in(inner, path) for inner in content]
            head = [str(block.get(name)) for name in ("title", "source") if block.get(name)]
            return [{"type": "text", "text": "\n".join([*head, *texts])}]
        if kind in _LEFT_OUT:
            self._ignored.append(path)
            return []
        raise InvalidRequest(f"{path}.type: {kind!r} is no type of a block.", param=f"{path}.type")


def _kind(block: Any, path: str) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f"{path}.type: Field required", param=f"{path}.type")
    return kind


def _field(block: dict[str, Any], name: str, path: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"{path}.{name} is a text.", param=f"{path}.{name}")
    return value


def _text_in(block: Any, path: str) -> str:
    if _kind(block, path) != "text":
        raise UnsupportedParameter("There is a place for text only.", param=path)
    return _field(block, "text", path)


def _image(source: Any, path: str) -> str:
    """Return an image's address."""
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "base64":
        return f"data:{source.get('media_type')};base64,{_field(source, 'data', f'{path}.source')}"
    if kind == "url":
        return _field(source, "url", f"{path}.source")
    raise UnsupportedParameter("An image is given as base64.", param=f"{path}.source")


def _document(block: dict[str, Any], path: str) -> str:
    """Return the text of a document. Raises UnsupportedParameter for one that is not text."""
    given = block.get("source")
    source: dict[str, Any] = given if isinstance(given, dict) else {}
    kind = source.get("type")
    if kind == "text":
        text = _field(source, "data", f"{path}.source")
    elif kind == "content" and isinstance(source.get("content"), str):
        text = source["content"]
    elif kind == "content" and isinstance(source.get("content"), list):
        text = "\n".join(_text_in(inner, f"{path}.source.content") for inner in source["content"])
    else:
        raise UnsupportedParameter("Documents are given as text.", param=f"{path}.source")
    head = [str(block[name]) for name in ("title", "context") if block.get(name)]
    return "\n".join([*head, text])


def _simple(parts: Parts) -> str | Parts:
    """Return text alone as a text, which every template takes."""
    if any(part["type"] != "text" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)
