"""What a model says as the items of a response, and the events that tell of each as it grows."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from inference.chunks import ToolCallDelta
from web.chat.custom_input import InputReader

Event = tuple[str, dict[str, Any]]
Events = Iterator[Event]


class TextKind(NamedTuple):
    """How items with one text are written: the item, its one part, and what their events are called."""

    prefix: str
    item: dict[str, Any]
    part: str
    # Under which names the item has its parts, and the part its text.
    parts: str
    text: str
    part_event: str
    text_event: str


_MESSAGE: Final = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
_THOUGHT: Final = {"type": "reasoning", "status": "in_progress", "summary": []}
_CONTENT_PART: Final = "response.content_part"

MESSAGE: Final = TextKind("msg", _MESSAGE, "output_text", "content", "text", _CONTENT_PART, "response.output_text")
REFUSAL: Final = TextKind("msg", _MESSAGE, "refusal", "content", "refusal", _CONTENT_PART, "response.refusal")
THOUGHT: Final = TextKind(
    *("rs", {**_THOUGHT, "content": []}, "reasoning_text", "content", "text"),
    *(_CONTENT_PART, "response.reasoning_text"),
)
# Where a client asked for a summary, it looks for thoughts there.
SUMMARY: Final = TextKind(
    *("rs", _THOUGHT, "summary_text", "summary", "text"),
    *("response.reasoning_summary_part", "response.reasoning_summary_text"),
)


class Item:
    """An item that grows; ``fields`` is how it reads once it has ended, and at first without what grows."""

    def __init__(self, run_id: str, place: int, prefix: str, fields: dict[str, Any]) -> None:
        self.fields: dict[str, Any] = {"id": f"{prefix}_{run_id}_{place}", **fields}
        self._place = place
        # What events say of whose they are.
        self._at = {"item_id": self.fields["id"], "output_index": place}

    def begin(self) -> Events:
        """Say that the item is there."""
        yield "response.output_item.added", {"output_index": self._place, "item": dict(self.fields)}

    def so_far(self) -> dict[str, Any]:
        """Return how it reads now."""
        return self.fields

    def end(self, status: str) -> Events:
        """Say that nothing is added any more."""
        self.fields["status"] = status
        yield "response.output_item.done", {"output_index": self._place, "item": self.fields}


class Text(Item):
    """An item with one text in it: a message, a refusal, or a thought."""

    def __init__(self, run_id: str, place: int, kind: TextKind) -> None:
        super().__init__(run_id, place, kind.prefix, kind.item)
        self.kind = kind
        self._at[f"{kind.parts}_index"] = 0
        self._pieces: list[str] = []
        self._logprobs: list[Any] = []

    def begin(self) -> Events:
        """Say that the item is there, and its part."""
        yield from super().begin()
        yield f"{self.kind.part_event}.added", self._at | {"part": self._part()}

    def add(self, text: str, logprobs: list[Any]) -> Events:
        """Add a piece."""
        self._pieces.append(text)
        self._logprobs += logprobs
        yield f"{self.kind.text_event}.delta", self._at | {"delta": text} | self._with(logprobs)

    def so_far(self) -> dict[str, Any]:
        """Return how it reads now."""
        return self.fields | {self.kind.parts: [self._part()]}

    def end(self, status: str) -> Events:
        """Say that the text, its part and the item are whole."""
        part = self._part()
        whole = {self.kind.text: part[self.kind.text]}
        yield f"{self.kind.text_event}.done", self._at | whole | self._with(self._logprobs)
        yield f"{self.kind.part_event}.done", self._at | {"part": part}
        self.fields[self.kind.parts] = [part]
        yield from super().end(status)

    def _part(self) -> dict[str, Any]:
        part = {"type": self.kind.part, self.kind.text: "".join(self._pieces)}
        return part | ({"annotations": []} if self.kind is MESSAGE else {}) | self._with(self._logprobs)

    def _with(self, logprobs: list[Any]) -> dict[str, Any]:
        return {"logprobs": logprobs} if self.kind is MESSAGE else {}


class Call(Item):
    """A call of a function."""

    def __init__(self, run_id: str, place: int, delta: ToolCallDelta, named: dict[str, str]) -> None:
        fields = {"type": "function_call", "status": "in_progress", "arguments": "", "call_id": delta.id or ""}
        super().__init__(run_id, place, "fc", fields | named)
        self._pieces: list[str] = []

    def add(self, arguments: str) -> Events:
        """Add a piece of the arguments."""
        self._pieces.append(arguments)
        yield "response.function_call_arguments.delta", self._at | {"delta": arguments}

    def so_far(self) -> dict[str, Any]:
        """Return how it reads now."""
        return self.fields | {"arguments": "".join(self._pieces)}

    def end(self, status: str) -> Events:
        """Say that the arguments and the item are whole."""
        arguments = self.fields["arguments"] = "".join(self._pieces)
        whole = {"arguments": arguments, "name": self.fields["name"]}
        yield "response.function_call_arguments.done", self._at | whole
        yield from super().end(status)


class CustomCall(Item):
    """A call of a custom tool, which the engine knows as a function of one text."""

    def __init__(self, run_id: str, place: int, delta: ToolCallDelta, named: dict[str, str]) -> None:
        fields = {"type": "custom_tool_call", "status": "in_progress", "input": "", "call_id": delta.id or ""}
        super().__init__(run_id, place, "ctc", fields | named)
        self._reader = InputReader()
        self._pieces: list[str] = []

    def add(self, arguments: str) -> Events:
        """Add a piece of the arguments that the text is in."""
        yield from self._say(self._reader.feed(arguments))

    def so_far(self) -> dict[str, Any]:
        """Return how it reads now."""
        return self.fields | {"input": "".join(self._pieces)}

    def end(self, status: str) -> Events:
        """Say that the text and the item are whole."""
        yield from self._say(self._reader.end())
        text = self.fields["input"] = "".join(self._pieces)
        yield "response.custom_tool_call_input.done", self._at | {"input": text}
        yield from super().end(status)

    def _say(self, text: str) -> Events:
        if text:
            self._pieces.append(text)
            yield "response.custom_tool_call_input.delta", self._at | {"delta": text}
