"""Schemathesis asks whatever the OpenAPI document allows: no answer is a failure of ours, or other than it says."""

import re

import pytest

from tests.clients import environments
from tests.fakes.agent import FakeAgent
from tests.server import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900), pytest.mark.slow_client]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Beside about two thousand that go through each parameter in turn.
CASES_PER_OPERATION = 5


def test_whatever_the_document_allows_is_answered_as_it_says(
    site: Server, agent: FakeAgent, api_key: str, funded: object
) -> None:
    command = str(environments.python("schemathesis").parent / "schemathesis")
    options = ["--checks", CHECKS, "--max-examples", str(CASES_PER_OPERATION), "--no-color", "--warnings", "off"]
    address = ["--url", site.url, "--header", f"Authorization: Bearer {api_key}", f"{site.url}/v1/openapi.json"]
    said = environments.output_of([command, "run", *options, *address], {})
    assert re.search(r"(\d{3,}) generated, \1 passed", said), said[-5_000:]
