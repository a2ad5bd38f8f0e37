"""The items of a response, in and out of the conversation that a chat is."""

from typing import Any, Final

import msgspec

from api.responses.tools import flat_name
from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat import tools
from web.chat.turns import Turns

_TEXTS: Final = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_OTHER_PARTS: Final = ("input_file", "input_audio", "file", "computer_screenshot")
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")
# What OpenAI's own tools did, and what has no place in a prompt.
_HOSTED_ITEMS: Final = (
    *("web_search", "file_search", "computer", "code_interpreter", "image_generation", "local_shell", "shell"),
    *("mcp_", "tool_search", "apply_patch", "compaction"),
)


class ItemTurns(Turns):
    """The messages of a chat, put together from items."""

    def __init__(self, ignored: list[str]) -> None:
        super().__init__()
        self._ignored = ignored

    def take(self, item: dict[str, Any], path: str) -> None:
        """Add an item. Raises InvalidRequest for one that is none."""
        kind = item.get("type") or ("message" if "role" in item else None)
        if not isinstance(kind, str):
            raise InvalidRequest(f"{path}.type is that of an item.", param=f"{path}.type")
        if kind == "message":
            self._take_message(item, path)
        elif kind in _CALLS:
            said = _text(item, _CALLS[kind], path)
            arguments = tools.arguments_of(said) if kind == "custom_tool_call" else said
            name = flat_name(item.get("name"), item.get("namespace"))
            self.call(_text(item, "call_id", path), name, arguments, path)
        elif kind in _OUTPUTS:
            content = _content(item.get("output"), f"{path}.output")
            self.add({"role": "tool", "tool_call_id": _text(item, "call_id", path), "content": content}, path)
        elif kind == "reasoning":
            if thought := _thought(item):
                self.think(thought, path)
        elif kind.startswith(_HOSTED_ITEMS):
            self._ignored.append(path)
        else:
            raise InvalidRequest(f"{path}.type: {kind!r} is no type of an item.", param=f"{path}.type")

    def _take_message(self, item: dict[str, Any], path: str) -> None:
        role, content = item.get("role"), _content(item.get("content"), f"{path}.content")
        if role in ("system", "developer"):
            self.instruct(content if isinstance(content, str) else _joined(content, path), path)
        elif role == "assistant":
            self.say(content, path)
        else:
            self.add({"role": role, "content": content}, path)


def _text(item: dict[str, Any], name: str, path: str) -> str:
    """Return a text of an item or a part. Raises InvalidRequest."""
    text = item.get(name)
    if not isinstance(text, str):
        raise InvalidRequest(f"{path}.{name} is a text.", param=f"{path}.{name}")
    return text


def _thought(item: dict[str, Any]) -> str:
    """Return what is told of a thought; nothing where it is encrypted, or for others to read."""
    for name in ("content", "summary"):
        parts = item.get(name)
        if isinstance(parts, list):
            texts = [part.get("text") for part in parts if isinstance(part, dict)]
            if thought := "\n".join(text for text in texts if isinstance(text, str)):
                return thought
    return ""


def _content(content: Any, path: str) -> str | list[dict[str, Any]]:
    """Return content as a chat has it. Raises InvalidRequest."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        # Some give a tool's output as it is.
        return msgspec.json.encode(content).decode()
    if not isinstance(content, list):
        raise InvalidRequest(f"{path} is a text or a list of parts.", param=path)
    parts = [_part(part, f"{path}[{place}]") for place, part in enumerate(content)]
    if len(parts) == 1 and parts[0]["type"] == "text" and isinstance(parts[0]["text"], str):
        return parts[0]["text"]
    return parts or ""


def _part(part: Any, path: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f"{path}.type is that of a part.", param=f"{path}.type")
    if kind in _TEXTS:
        return {"type": "text", "text": _text(part, _TEXTS[kind], path)}
    if kind == "input_image":
        if not isinstance(part.get("image_url"), str):
            raise UnsupportedParameter("An image is given as its data.", param=f"{path}.image_url")
        detail = part.get("detail")
        image = {"url": part["image_url"]} | ({"detail": detail} if detail in ("auto", "low", "high") else {})
        return {"type": "image_url", "image_url": image}
    if kind in _OTHER_PARTS:
        raise UnsupportedParameter(f"{path}: parts of this type are not supported here.", param=path)
    raise InvalidRequest(f"{path}.type: {kind!r} is no type of a part.", param=f"{path}.type")


def _joined(parts: list[dict[str, Any]], path: str) -> str:
    if any(part["type"] != "text" for part in parts):
        raise UnsupportedParameter("Instructions are text.", param=path)
    return "\n".join(part["text"] for part in parts)
