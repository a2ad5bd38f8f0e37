"""Run ids: 32 hexadecimal digits at random, of which the first eight name the process where several share the work.

So whoever meets an id knows whom to ask about the run, and what a killed process left behind can be found.
"""

import re
import secrets
from typing import Final
from uuid import uuid4

NAME_DIGITS: Final = 8
# How callers name a run: by x-request-id, by the completion's id, or by what these have in common.
_NAMES: Final = re.compile(r"(?:req_|chatcmpl-|cmpl-|resp_|msg_)?([0-9a-f]{32})")

_process_name = ""


def new_name() -> str:
    """Return a name for a process."""
    return secrets.token_hex(NAME_DIGITS // 2)


def name_process(name: str) -> None:
    """Have every run that begins here from now on carry the process's name."""
    global _process_name  # noqa: PLW0603
    assert len(name) in (0, NAME_DIGITS)
    _process_name = name


def process_name() -> str:
    """Return this process's name; none where it serves alone."""
    return _process_name


def process_of(run: str) -> str:
    """Return the name of the process that a run belongs to, if it has one."""
    return run[:NAME_DIGITS]


def new_run_id() -> str:
    """Return the id of a run of this process."""
    return _process_name + uuid4().hex[len(_process_name) :]


def request_id(run: str) -> str:
    """Return what callers know a run by: the ``x-request-id`` of its response."""
    return f"req_{run}"


def run_named(name: str) -> str | None:
    """Return the id of the run that is called ``req_<hex>``, ``chatcmpl-<hex>`` or ``<hex>``; None for other text."""
    named = _NAMES.fullmatch(name)
    return named[1] if named else None
