"""The benches' engine in a process of its own: what it is told, and what it tells."""

import time

import httpx2

from bench.stage import Engine
from tests.inference.scenes import HELLO
from tests.patience import until


def test_an_engine_answers_as_told_and_tells_what_came() -> None:
    with Engine({"answer": ["Hi"], "between": 0.01}) as engine:
        asked_at = time.monotonic()
        answer = httpx2.post(f"{engine.url}/v1/chat/completions", json={"model": "tgi", "messages": HELLO})
        assert answer.json()["choices"][0]["message"]["content"] == "Hi"
        (asked,) = engine.asked()
        assert asked.opening == HELLO[0]["content"]
        assert asked_at <= asked.arrived_at <= time.monotonic()
        assert asked.closed_at is None


def test_an_engine_knows_when_a_client_left() -> None:
    with Engine({"answer": ["Hi"], "endless": True, "between": 0.01}) as engine:
        body = {"model": "tgi", "messages": HELLO, "stream": True}
        with httpx2.stream("POST", f"{engine.url}/v1/chat/completions", json=body) as answer:
            next(answer.iter_bytes())
        until(lambda: engine.asked()[0].closed_at)


def test_an_engine_that_was_killed_comes_back_where_it_was() -> None:
    with Engine({"answer": ["Hi"]}) as engine:
        url = engine.url
        engine.kill()
        engine.start()
        assert engine.url == url
        assert httpx2.get(f"{url}/health").status_code == 200
