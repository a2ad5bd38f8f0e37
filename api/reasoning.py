"""How many of an answer's tokens were thoughts."""

from inference.chunks import Usage


def reasoning_tokens(usage: Usage, thought_bytes: int, said_bytes: int) -> int:
    """Return how many tokens a model thought: their share of the text, where engines count all of it together."""
    size_bytes = thought_bytes + said_bytes
    return round(usage.completion_tokens * thought_bytes / size_bytes) if thought_bytes else 0
