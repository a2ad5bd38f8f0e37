"""The limits of a run, read from the settings once: Django's own object asks itself several questions for each."""

from typing import Self

import msgspec
from django.conf import settings


class Limits(msgspec.Struct, frozen=True):
    """What the settings say under the same names; sizes in bytes or tokens, times in seconds."""

    first_token_seconds: float
    between_tokens_seconds: float
    run_seconds: float
    queue_length: int
    queue_seconds: float
    hold_wait_seconds: float
    hold_grace_seconds: float
    hold_whole_tokens: int
    slice_tokens: int
    minimum_answer_tokens: int
    slice_wait_seconds: float
    reader_bytes: int
    reader_seconds: float
    answer_bytes: int
    reconnect_grace_seconds: float

    @classmethod
    def read(cls) -> Self:
        """Return what the settings say now."""
        return cls(**{name: getattr(settings, name.upper()) for name in cls.__struct_fields__})
