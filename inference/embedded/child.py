"""The embedded engine's own process: llama.cpp's server on a random loopback port.

It is told everything in one JSON line on its standard input, never on the command line: the key would show there. It
answers with one JSON line on its standard output once it can be asked, and ends when its standard input does, which is
when its parent is gone, however that ended. Nothing of Django is loaded here.
"""

import json
import os
import resource
import signal
import threading
from pathlib import Path
from typing import Any, NoReturn, TypedDict

from core import supervised

# The log is for a person who looks into a failure; past this it is not written any more.
LOG_BYTES = 4_194_304
# The site answers first: a token may wait for a request, not the other way round.
NICENESS = 5
BATCH_TOKENS = 512


class Order(TypedDict):
    """What the parent asks for; ``context_tokens`` is per slot. None leaves what the model's file says."""

    model_file: str
    model_id: str
    key: str
    slots: int
    context_tokens: int
    threads: int
    chat_template: str | None
    temperature: float | None
    top_p: float | None
    # Beyond what it has once the model is loaded.
    memory_bytes: int


def main() -> NoReturn:
    """Serve until the parent is gone."""
    # Whoever signals a whole tree means the site, whose answers under way are still ours to make.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = supervised.Parent()
    order: Order = json.loads(parent.order())
    # At once: there is nothing to save.
    parent.end_with(lambda: os._exit(0))
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_BYTES, LOG_BYTES))
    server = _serve(order)
    _limit_memory(order["memory_bytes"])
    parent.tell(json.dumps({"base_url": server.listening_address}))
    while True:
        threading.Event().wait()


def _limit_memory(more_bytes: int) -> None:
    """Let the process have so much more than it has now; whoever asks for more of it is told that there is none."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        # Not Linux, where the limit would have no effect either.
        return
    most = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve(order: Order) -> Any:
    """Load the model and start to listen; the server serves for as long as it is referred to."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = order["model_file"]
    # Otherwise answers would name the file's path on this machine.
    parameters.model_alias = {order["model_id"]}
    parameters.n_parallel = order["slots"]
    parameters.n_ctx = order["slots"] * order["context_tokens"]
    # Of a prompt, in one step: nobody else is heard before it ends. A larger one is not faster.
    parameters.n_batch = BATCH_TOKENS
    for processors in (parameters.cpuparams, parameters.cpuparams_batch):
        processors.n_threads = order["threads"]
        # Threads that wait do not spin: the site runs on the same cores.
        processors.poll = 0
    # Finished prompts beside those in the slots would take up to 8 GiB.
    parameters.cache_ram_mib = 0
    parameters.verbosity = 2
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [order["key"]]
    if order["chat_template"] is not None:
        parameters.chat_template = order["chat_template"]
    if order["temperature"] is not None:
        parameters.sampling.temp = order["temperature"]
    if order["top_p"] is not None:
        parameters.sampling.top_p = order["top_p"]
    _close_doors(parameters)
    return xllamacpp.Server(parameters)


def _close_doors(parameters: object) -> None:
    """Turn off what only a person in front of llama.cpp needs; an empty origin is one that no browser sends."""
    for name in ("endpoint_slots", "endpoint_props", "endpoint_metrics", "ui", "ui_mcp_proxy", "cors_credentials"):
        setattr(parameters, name, False)
    for name in ("cors_origins", "cors_methods", "cors_headers"):
        setattr(parameters, name, "")


if __name__ == "__main__":
    main()
