"""Puts the pieces of tool calls together, however an engine numbers, names and splits them."""

import uuid
from collections.abc import Collection

import msgspec

from inference.chunks import FunctionDelta, ToolCallDelta
from inference.engines.events import WireToolCall
from inference.errors import EngineFailed


class _Call:
    """One call so far; ``given_id`` is the engine's own."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.given_id: str | None = None
        self.name = ""
        self.arguments: list[str] = []
        # Whether its id and name have been told.
        self.is_told = False

    @property
    def has_begun(self) -> bool:
        """Whether it has arguments, so that its name is complete."""
        return bool(self.arguments)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are whole JSON, so that nothing can follow."""
        if not self.arguments or self.arguments[-1].rstrip()[-1:] not in ("}", "]"):
            return False
        try:
            msgspec.json.decode("".join(self.arguments))
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class ToolCalls:
    """The calls of one answer. Each is told once with its id, type and whole name, and its arguments piece by piece.

    Pieces belong together by the engine's index, else by their id, else by their place in the event's list; one that
    is alone and has none of these belongs to the latest call. Some engines number all of their calls zero.
    ``offered`` are the functions that may be called; ``keeps_ids`` says whether the engine's ids tell calls apart.
    """

    def __init__(self, offered: Collection[str] = (), *, keeps_ids: bool = True) -> None:
        self._offered = offered
        self._keeps_ids = keeps_ids
        self._calls: list[_Call] = []
        # By the engine's index, or by the place in an event's list as a negative number.
        self._numbered: dict[int, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, pieces: list[WireToolCall]) -> list[ToolCallDelta]:
        """Take one event's pieces, and return what can be told now."""
        told: list[ToolCallDelta] = []
        for place, piece in enumerate(pieces):
            function = piece.function
            name = (function.name if function else None) or ""
            arguments = (function.arguments if function else None) or ""
            if not (piece.id or name or arguments):
                continue
            number = piece.index
            if number is None and not piece.id and len(pieces) > 1:
                number = -1 - place
            call = self._call_of(number, piece.id or "", name, arguments)
            if number is not None:
                self._numbered[number] = call
            call.given_id = call.given_id or piece.id or None
            told += self._take(call, name, arguments)
        return told

    def flush(self) -> list[ToolCallDelta]:
        """Return what was held back, once no piece follows. Raises EngineFailed for a call without a name."""
        for call in self._calls:
            if not call.name and call.arguments:
                if len(self._offered) != 1:
                    raise EngineFailed
                (call.name,) = self._offered
        return self._announced(self._calls)

    def _call_of(self, number: int | None, given_id: str, name: str, arguments: str) -> _Call:
        """Return the call that a piece belongs to: one that is known, or a new one."""
        known = self._known(number, given_id, name)
        if known and not self._is_another(known, given_id, name, arguments):
            return known
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call

    def _known(self, number: int | None, given_id: str, name: str) -> _Call | None:
        """Return the call that the piece may belong to by its number, its id, or for want of both."""
        by_number = self._numbered.get(number) if number is not None else None
        if by_number and (not given_id or by_number.given_id in (None, given_id)):
            return by_number
        if given_id:
            by_id = next((call for call in reversed(self._calls) if call.given_id == given_id), None)
            if by_id and (number is None or by_number or not name):
                return by_id
            latest = by_number or (self._calls[-1] if self._calls and number is None else None)
            # An id that nobody has seen begins another call, unless this one cannot have ended: some engines give
            # every piece an id of its own.
            return latest if latest and _goes_on(latest, name) else None
        return self._calls[-1] if self._calls and number is None else None

    def _is_another(self, call: _Call, given_id: str, name: str, arguments: str) -> bool:
        """Whether a piece begins another call than the one that it would belong to."""
        if not (name and call.name):
            return False
        if call.has_begun:
            return name != call.name or (arguments.lstrip()[:1] == "{" and call.is_whole)
        # Another function's name, or the rest of this one's.
        has_new_id = bool(given_id) and given_id != call.given_id
        is_offered = name in self._offered and call.name + name not in self._offered
        return name != call.name and (has_new_id or is_offered)

    def _take(self, call: _Call, name: str, arguments: str) -> list[ToolCallDelta]:
        """Add a piece to its call; its name is whole, and told, once the arguments begin or nothing follows."""
        is_new = not (call.name or call.has_begun)
        added = name if not call.name or (name != call.name and not call.has_begun) else ""
        call.name += added
        if arguments:
            call.arguments.append(arguments)
        if call.is_told:
            return (
                [ToolCallDelta(call.index, function=FunctionDelta(added or None, arguments))]
                if added or arguments
                else []
            )
        if not (call.name and arguments):
            return []
        told = self._announced(self._calls[: call.index])
        if is_new:
            return [*told, self._told(call, arguments)]
        return [
            *told,
            self._told(call, ""),
            ToolCallDelta(call.index, function=FunctionDelta(arguments="".join(call.arguments))),
        ]

    def _announced(self, calls: list[_Call]) -> list[ToolCallDelta]:
        return [self._told(call, "".join(call.arguments)) for call in calls if call.name and not call.is_told]

    def _told(self, call: _Call, arguments: str) -> ToolCallDelta:
        """Return a call's first piece; every call has an id of its own."""
        call.is_told = True
        is_own = self._keeps_ids and not any(other.given_id == call.given_id for other in self._calls[: call.index])
        identity = call.given_id if is_own and call.given_id else f"call_{uuid.uuid4().hex[:24]}"
        return ToolCallDelta(call.index, identity, "function", FunctionDelta(call.name, arguments))


def _goes_on(call: _Call, name: str) -> bool:
    """Whether a piece with an unknown id may go on with a call."""
    if call.given_id is None:
        return not call.is_whole
    return name in ("", call.name) and call.has_begun and not call.is_whole
