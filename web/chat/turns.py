"""The messages of a chat, put together from what another protocol has for them."""

from typing import Any

from web.chat.origins import Origins


class Turns:
    """Collects messages, each with its path in the body.

    What systems and developers say goes into the first message, wherever it was said: templates of several models take
    it nowhere else. What the assistant thought, said and called up to the next turn of another is one message.
    """

    def __init__(self) -> None:
        self._instructions: list[str] = []
        self._instructed_at = ""
        self._messages: list[dict[str, Any]] = []
        self._paths: list[str] = []
        # The assistant's message that may still go on.
        self._assistant: dict[str, Any] | None = None

    def instruct(self, text: str, path: str) -> None:
        """Add to the first message."""
        if text:
            self._instructions.append(text)
            self._instructed_at = self._instructed_at or path

    def add(self, message: dict[str, Any], path: str) -> None:
        """Add a message of anybody but the assistant."""
        self._assistant = None
        self._begin(message, path)

    def say(self, content: str | list[dict[str, Any]], path: str) -> None:
        """Add what the assistant said, in a message of its own if the last one says something already, or calls."""
        if self._assistant and ("content" in self._assistant or "tool_calls" in self._assistant):
            self._assistant = None
        self._spoken(path)["content"] = content

    def think(self, thought: str, path: str) -> None:
        """Add what the assistant thought."""
        spoken = self._spoken(path)
        spoken["reasoning"] = "\n".join(filter(None, [spoken.get("reasoning"), thought]))

    def call(self, identity: str, name: Any, arguments: str, path: str) -> None:
        """Add a call of the assistant's."""
        call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
        self._spoken(path).setdefault("tool_calls", []).append(call)

    def finish(self, original: Origins) -> list[dict[str, Any]]:
        """Return the messages; ``original`` is told where they were in the body."""
        messages, paths = self._messages, self._paths
        if self._instructions:
            messages = [{"role": "system", "content": "\n\n".join(self._instructions)}, *messages]
            paths = [self._instructed_at, *paths]
        for number, path in enumerate(paths):
            original.note(f"messages[{number}]", path)
        for message in messages:
            if message["role"] == "assistant" and not message.get("tool_calls"):
                message.setdefault("content", "")
            if "reasoning" in message:
                # Servers look under either name.
                message["reasoning_content"] = message["reasoning"]
        return messages

    def _spoken(self, path: str) -> dict[str, Any]:
        """Return the assistant's message to add to."""
        if self._assistant is None:
            self._assistant = self._begin({"role": "assistant"}, path)
        return self._assistant

    def _begin(self, message: dict[str, Any], path: str) -> dict[str, Any]:
        self._messages.append(message)
        self._paths.append(path)
        return message
