"""What somebody typed begins no line of the log and steers no terminal that shows it."""

import json
import logging

import pytest

from config.log_format import JsonFormatter, TextFormatter
from tests.core.test_text import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_the_log_shows_it_escaped_on_one_line(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        failed = logging.LogRecord("site", logging.WARNING, "f", 1, "Said %s", (text,), (type(error), error, None))
    told = logging.LogRecord("site", logging.WARNING, "f", 1, "Said %s", (text,), None)
    for written in (TextFormatter().format(told), JsonFormatter().format(told), JsonFormatter().format(failed)):
        assert written.isprintable()
    assert all(line.isprintable() for line in TextFormatter().format(failed).split("\n"))
    assert json.loads(JsonFormatter().format(told))["message"] == f"Said {text}"
