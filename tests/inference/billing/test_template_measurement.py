"""What a chat template adds, measured."""

import json

import pytest

from inference.billing.template_measurement import Template, measure
from inference.engines.base import EndpointAddress
from inference.errors import EngineError
from tests.fakes.openai_server import FakeLlamaCpp, FakeOpenAI
from tests.fakes.server import Connection, FakeServer, Request
from tests.fakes.tgi import FakeTgi
from tests.fakes.tgi_validation import templated, tokens_of
from tests.inference.clients import engine_for


def address(kind: str, server: FakeServer) -> EndpointAddress:
    return EndpointAddress(kind, server.url, upstream_model="m")


class Strict(FakeTgi):
    """A TGI whose template knows neither system messages nor tools."""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Refuse to count what the template cannot render."""
        if request.json.get("tools") or request.json["messages"][0]["role"] == "system":
            body = {"error": "Template error: System role not supported", "error_type": "template_error"}
            connection.respond(422, json.dumps(body).encode(), {"content-type": "application/json"})
        else:
            await super().answer(request, connection)


async def test_each_shape_of_prompt_is_measured() -> None:
    with FakeTgi() as tgi:
        template = await measure(engine_for(address("tgi", tgi)))
    user, system = ({"role": role, "content": "a"} for role in ("user", "system"))
    assert template.template_tokens == len(tokens_of(templated([user]))) - 1
    assert template.template_system_tokens == len(tokens_of(templated([system, user]))) - 2
    # With a system message and without: the larger one counts.
    assert template.template_tools_tokens
    assert template.template_tools_tokens > template.template_system_tokens + 40


async def test_llamacpp_is_asked_in_its_own_way() -> None:
    with FakeLlamaCpp() as server:
        template = await measure(engine_for(address("llamacpp", server)))
    assert template.template_tokens == 7
    assert {request.path for request in server.requests} == {"/v1/chat/completions/input_tokens"}


async def test_what_a_template_refuses_stays_unknown() -> None:
    with Strict() as tgi:
        assert await measure(engine_for(address("tgi", tgi))) == Template(template_tokens=7)


async def test_a_server_that_cannot_count_tells_nothing() -> None:
    with FakeOpenAI() as server:
        assert await measure(engine_for(address("openai", server))) == Template()


async def test_a_server_that_is_gone_is_an_error() -> None:
    with FakeTgi() as gone:
        pass
    with pytest.raises(EngineError):
        await measure(engine_for(address("tgi", gone)))
