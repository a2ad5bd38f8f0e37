"""How busy an engine says that it is, in the words of its metrics page."""

import math
from typing import NamedTuple

import msgspec


class Load(msgspec.Struct, frozen=True):
    """What an engine has to do for everybody who asks it, us included."""

    running: int = 0
    waiting: int = 0
    # The share of its memory for conversations that is taken, from 0 to 1.
    cache_share: float = 0.0


class Series(NamedTuple):
    """What an engine's series are called; of several names, older versions had the later ones."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    cache_share: tuple[str, ...] = ()


VLLM = Series(
    ("vllm:num_requests_running",),
    ("vllm:num_requests_waiting",),
    ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
)
SGLANG = Series(("sglang:num_running_reqs",), ("sglang:num_queue_reqs",), ("sglang:token_usage",))
TGI = Series(("tgi_batch_current_size",), ("tgi_queue_size",))
LLAMACPP = Series(
    ("llamacpp:requests_processing",), ("llamacpp:requests_deferred",), ("llamacpp:kv_cache_usage_ratio",)
)


def load_in(page: bytes, series: Series) -> Load | None:
    """Return what a metrics page tells; None if it tells neither what runs nor what waits.

    Of several models or ranks behind one address, requests add up, and the fullest memory counts.
    """
    names = {name.encode() for each in series for name in each}
    found: dict[str, list[float]] = {}
    for line in page.split(b"\n"):
        name = line.partition(b"{")[0].partition(b" ")[0]
        if name in names and (value := _value(line)) is not None:
            found.setdefault(name.decode(), []).append(value)
    running, waiting, shares = (_first(each, found) for each in series)
    if not (running or waiting):
        return None
    return Load(int(sum(running)), int(sum(waiting)), min(1.0, max(shares, default=0.0)))


def _first(names: tuple[str, ...], found: dict[str, list[float]]) -> list[float]:
    return next((found[name] for name in names if name in found), [])


def _value(line: bytes) -> float | None:
    """Return a sample's value, which follows its labels; a time may follow it."""
    rest = line.rpartition(b"}")[2] if b"}" in line else line.partition(b" ")[2]
    try:
        value = float(rest.split()[0])
    except (ValueError, IndexError):
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None
