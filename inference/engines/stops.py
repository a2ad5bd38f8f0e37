"""Cuts an answer before its stop sequence, for engines that leave the sequence in."""


class StopCutter:
    """Passes text on, holding back no more than could still become a stop sequence."""

    def __init__(self, stops: list[str]) -> None:
        self._stops = stops
        self._held = ""
        self.is_cut = False

    def feed(self, text: str) -> str:
        """Return what can be shown now; nothing any more after a stop sequence."""
        if self.is_cut:
            return ""
        text = self._held + text
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.is_cut, self._held = True, ""
            return text[: min(found)]
        held = self._beginning_of_a_stop(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """Return what was held back, once nothing follows."""
        held, self._held = self._held, ""
        return held

    def _beginning_of_a_stop(self, text: str) -> int:
        """Return the length of the longest end of ``text`` that a stop sequence begins with."""
        longest = max(map(len, self._stops)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
