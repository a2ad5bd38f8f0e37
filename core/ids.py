"""Run ids: 32 hexadecimal digits, of which the first eight name the process and the next twelve the moment.

So whoever meets an id knows whom to ask about the run, what a killed process left behind can be found, and the indexes
of runs grow at their end. An id is no secret: whoever names a run still has to be somebody who may see it.
"""

import re
import secrets
import time
from random import getrandbits
from typing import Final

NAME_DIGITS: Final = 8
# How callers name a run: by x-request-id, by the completion's id, or by what these have in common.
_NAMES: Final = re.compile(r"(?:req_|chatcmpl-|cmpl-|resp_|msg_)?([0-9a-f]{32})")


def new_name() -> str:
    """Return a name for a process."""
    return secrets.token_hex(NAME_DIGITS // 2)


# One for the whole process, because the ids that it gives are known far beyond it.
_process_name = new_name()


def name_process(name: str) -> None:
    """Have every run that begins here from now on carry the process's name."""
    global _process_name  # noqa: PLW0603
    assert len(name) == NAME_DIGITS
    _process_name = name


def process_name() -> str:
    """Return this process's name."""
    return _process_name


def process_of(run: str) -> str:
    """Return the name of the process that a run belongs to."""
    return run[:NAME_DIGITS]


def new_run_id() -> str:
    """Return the id of a run of this process; later ones are greater, to the millisecond."""
    return f"{_process_name}{time.time_ns() // 1_000_000:012x}{getrandbits(48):012x}"


def request_id(run: str) -> str:
    """Return what callers know a run by: the ``x-request-id`` of its response."""
    return f"req_{run}"


def run_named(name: str) -> str | None:
    """Return the id of the run that is called ``req_<hex>``, ``chatcmpl-<hex>`` or ``<hex>``; None for other text."""
    named = _NAMES.fullmatch(name)
    return named[1] if named else None
