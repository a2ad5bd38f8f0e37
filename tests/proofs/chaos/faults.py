"""What can happen to the parts of a site, and how each of it ends."""

import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final

from tests.fakes.script import Script
from tests.proofs.chaos.site import Site
from tests.proofs.chaos.wire import Wire
from tests.site import Serve

# What engines do when all is well: slow enough that faults fall into answers.
NORMAL: Final = Script(between=0.01, default_tokens=20)
SLOW_SECONDS: Final = 0.1
TROUBLES: Final[dict[str, dict[str, Any]]] = {
    "breaks off": {"break_after": 3},
    "fails": {"fail_after": 2},
    "is overloaded": {"overloaded": True},
    "falls silent": {"silent_after": 5},
    "is slow": {"between": 0.3},
    "answers with a page": {"response": (200, "text/html", b"<h1>hello</h1>")},
    "answers 502": {"response": (502, "text/html", b"<h1>Bad Gateway</h1>")},
}

Fault = Callable[[ExitStack], None]


def faults(site: Site) -> dict[str, Fault]:
    """Return every fault by its name; each begins when called, and ends with the stack that it is given."""
    found: dict[str, Fault] = {
        "PostgreSQL is killed": lambda end: _down(end, site.postgresql.kill, site.postgresql.start),
        "PostgreSQL is stopped": lambda end: end.enter_context(site.postgresql.silence()),
        "Redis is killed": lambda end: _down(end, site.redis.kill, site.redis.start),
        "Redis is stopped": lambda end: end.enter_context(site.redis.silence()),
    }
    wires = {"PostgreSQL": site.to_database, "Redis": site.to_redis}
    wires |= {f"engine {number}": wire for number, wire in enumerate(site.to_engines)}
    for name, wire in wires.items():
        found |= {f"the network to {name} {what}": fault for what, fault in _of_wire(wire).items()}
    for number, process in enumerate(site.processes):
        found |= {f"web process {number} {what}": fault for what, fault in _of_process(process).items()}
    for number, engine in enumerate(site.engines):
        for what, script in TROUBLES.items():
            found[f"engine {number} {what}"] = _playing(engine, replace(NORMAL, **script))
    return found


@contextmanager
def one_of(known: dict[str, Fault], chance: random.Random) -> Iterator[str]:
    """Have one fault last for the block, or two at once; gives its name."""
    names = chance.sample(sorted(known), 2 if len(known) > 1 and chance.random() < 0.25 else 1)
    # Whatever is about the same part excludes each other.
    if names[0].split()[:2] == names[-1].split()[:2]:
        names = names[:1]
    with ExitStack() as end:
        for name in names:
            known[name](end)
        yield " while ".join(names)


def _of_wire(wire: Wire) -> dict[str, Fault]:
    def cut(end: ExitStack) -> None:
        end.callback(wire.heal)
        wire.cut()

    def swallow(end: ExitStack) -> None:
        end.callback(wire.heal)
        wire.swallow()

    def slow(end: ExitStack) -> None:
        end.callback(wire.heal)
        wire.slow(SLOW_SECONDS)

    return {"is cut": cut, "swallows everything": swallow, "is slow": slow}


def _of_process(process: Serve) -> dict[str, Fault]:
    def fill(end: ExitStack) -> None:
        """Let nothing be written to any file, as on a full disk."""
        before = process.process.rlimit(resource.RLIMIT_FSIZE)
        end.callback(process.process.rlimit, resource.RLIMIT_FSIZE, before)
        process.process.rlimit(resource.RLIMIT_FSIZE, (0, before[1]))

    def stop(end: ExitStack) -> None:
        process.process.send_signal(signal.SIGSTOP)
        end.callback(process.process.send_signal, signal.SIGCONT)

    return {
        "is killed": lambda end: _down(end, process.kill, process.start),
        "is stopped": stop,
        "can write no file": fill,
    }


def _down(end: ExitStack, kill: Callable[[], None], start: Callable[[], object]) -> None:
    kill()
    end.callback(start)


def _playing(engine: Any, script: Script) -> Fault:
    def play(end: ExitStack) -> None:
        end.callback(setattr, engine, "script", NORMAL)
        engine.script = script

    return play
