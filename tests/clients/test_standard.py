"""LangChain's own standard tests for chat models."""

import pytest

from tests.clients.conftest import Program

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600), pytest.mark.slow_client]


def test_langchains_standard_tests(program: Program) -> None:
    found = program("langchain", "langchain_standard.py")
    assert not found["failed"], "\n".join(f"{name}: {reason}" for name, reason in found["failed"].items())
    assert len(found["passed"]) > 30
