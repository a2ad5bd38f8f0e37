"""A model in the catalogue on a fake engine, and what its answers cost."""

import json
from typing import Any

from accounts.caller import Caller
from accounts.models import Project, User
from core import changes
from inference.catalog.snapshots import TOPIC
from inference.chat import Chat
from inference.models import Endpoint, Model, Price
from tests.fakes.server import FakeServer, Request
from tests.fakes.tgi_validation import templated, tokens_of
from web.chat import parse

MODEL = "fable/fox-1b"
CONTEXT_TOKENS = 4096
DOLLAR = 1_000_000_000
# In nano-credits for each token: prices of 0.2, 0.6 and 0.1 dollars per million.
INPUT_NANO, OUTPUT_NANO, CACHED_NANO = 200, 600, 100
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who jumps?"}]


def register(
    server: FakeServer, kind: Endpoint.Kind = Endpoint.Kind.TGI, *, model_id: str = MODEL, **fields: Any
) -> Endpoint:
    """Put an engine into the catalogue, with its model and a price where these are not there yet."""
    model, is_new = Model.objects.get_or_create(
        id=model_id,
        defaults={"name": "Fox", "context_tokens": CONTEXT_TOKENS, "modalities": ["text"], "features": ["tools"]},
    )
    if is_new:
        Price.objects.create(
            model=model,
            input_microcredits_per_mtok=INPUT_NANO * 1_000,
            output_microcredits_per_mtok=OUTPUT_NANO * 1_000,
            cached_input_microcredits_per_mtok=CACHED_NANO * 1_000,
        )
    endpoint = Endpoint.objects.create(model=model, kind=kind, base_url=server.url, **fields)
    # A site that serves already hears of it within a second; a test does not wait for that.
    changes.touch(TOPIC)
    return endpoint


def prompt_tokens(messages: list[dict[str, Any]] | None = None, tools: list[dict[str, Any]] | None = None) -> int:
    """Count a prompt's tokens as the fake engines do."""
    return len(tokens_of(templated(messages or HELLO, tools)))


def cost_nano(
    completion_tokens: int,
    messages: list[dict[str, Any]] | None = None,
    tools: list[dict[str, Any]] | None = None,
) -> int:
    """Return what an answer of so many tokens costs, prompt included; nothing delivered costs nothing."""
    return prompt_tokens(messages, tools) * INPUT_NANO + completion_tokens * OUTPUT_NANO if completion_tokens else 0


def asked(server: FakeServer) -> list[Request]:
    """Return the requests for an answer that an engine got."""
    return [request for request in server.requests if request.path == "/v1/chat/completions"]


def chat(**fields: Any) -> Chat:
    """Return a parsed request that says hello, with more or other fields."""
    return parse(json.dumps({"model": MODEL, "messages": HELLO} | fields).encode())


def caller_in(project: Project, user: User) -> Caller:
    """Return a signed-in user as a caller, as the browser's door does."""
    return Caller(
        team_id=project.team_id,
        team=project.team.slug,
        project_id=project.pk,
        project=project.slug,
        user_id=user.pk,
        key_id="",
        team_enabled=True,
    )
