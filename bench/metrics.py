"""What counting and logging cost a request, in nanoseconds, and a scrape, in milliseconds.

    python -m bench.metrics

With PROMETHEUS_MULTIPROC_DIR set, what they cost where several processes are added up.
"""

import logging
import os
import tempfile
import timeit
from collections.abc import Callable

import django

REPEATS, TIMES = 7, 10_000
MODELS = (1, 20, 100)


def main() -> None:
    """Measure and print; the best of the repeats, for everything else is the machine's."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        os.environ.setdefault("DATA_DIR", folder)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        _measure_counting()
        _measure_logging()
        _measure_scrapes()


def _measure_counting() -> None:
    from accounts.caller import Caller
    from inference.metrics import Meter
    from inference.runs.receipt import Receipt

    caller = Caller(
        team_id=1, team="bench", project_id=1, project="bench", user_id=1, key_id="bench", team_enabled=True
    )
    receipt = Receipt("0" * 32, caller, "bench/model", streamed=True)
    receipt.endpoint_id = 1
    streaming = Meter()
    streaming.found("bench/model")

    def run() -> None:
        meter = Meter()
        meter.found("bench/model")
        meter.queued()
        meter.admitted()
        meter.left()
        meter.ended(receipt, None)

    print(f"a batch of tokens        {_nanoseconds(streaming.took):8.0f} ns")
    print(f"everything else of a run {_nanoseconds(run):8.0f} ns")


def _measure_logging() -> None:
    from config.log_format import JsonFormatter
    from web.request_log import RequestLine, logger

    def write() -> None:
        RequestLine("0" * 32, "POST", "/v1/chat/completions").end(200)

    logger.propagate = False
    text = logging.Formatter("{asctime} {levelname} {name}: {message}", style="{")
    with open(os.devnull, "w") as sink:
        for name, formatter in (("text", text), ("JSON", JsonFormatter())):
            handler = logging.StreamHandler(sink)
            handler.setFormatter(formatter)
            logger.handlers = [handler]
            print(f"a line of the log, {name}  {_nanoseconds(write):8.0f} ns")


def _measure_scrapes() -> None:
    from config import operating
    from inference.metrics import Meter

    for models in MODELS:
        for number in range(models):
            Meter().found(f"bench/model-{number}")
        seconds = min(timeit.repeat(operating.render, number=1, repeat=REPEATS))
        print(f"a scrape, {models:3} models     {1_000 * seconds:8.1f} ms, {len(operating.render()):,} bytes")


def _nanoseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=TIMES, repeat=REPEATS)) / TIMES * 1e9


if __name__ == "__main__":
    main()
