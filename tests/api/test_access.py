"""Who may call, in which project, and for how long after a change."""

from collections.abc import Callable
from datetime import timedelta

import httpx2
import openai
import pytest
from django.utils import timezone
from openai import OpenAI

from accounts import keys
from accounts.models import ApiKey, Project, Team, User
from core import clock
from inference.models import Endpoint, Model, Price, Run
from tests.api.scenes import Connect, balance, body, charges, the_run
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, MODEL, asked, cost_nano, prompt_tokens, register
from tests.patience import Stopwatch, until, within

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]

# A change is heard of within a second; the rest is for a busy machine.
SOON = 1.5


def status(raw: httpx2.Client, **headers: str) -> int:
    return raw.post("/v1/chat/completions", json=body(max_tokens=1), headers=headers).status_code


def revoke() -> None:
    # As another process would: nothing of this one is told.
    ApiKey.objects.update(revoked_at=timezone.now())


def switch_off() -> None:
    Team.objects.filter(slug="acme").update(is_enabled=False)


def test_a_revoked_key_ends_its_running_stream(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 2
    with connect(body(stream=True)) as wire:
        wire.read_words(2)
        revoke()
        with Stopwatch() as watch:
            wire.read_until(b"[DONE]")
    assert watch.seconds < SOON
    assert b'"code":"invalid_api_key"' in wire.received
    within(1, lambda: asked(tgi)[0].closed_at)
    assert the_run().ending == "revoked"
    assert balance(funded) == DOLLAR - cost_nano(2)


def test_a_revoked_key_ends_its_whole_answer_too(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 2
    with connect(body()) as wire:
        until(lambda: asked(tgi) and asked(tgi)[0].tokens_sent == 2)
        revoke()
        wire.read_until(b"invalid_api_key")
    assert wire.received.startswith(b"HTTP/1.1 401")
    assert the_run().cost_nano == 0
    assert balance(funded) == DOLLAR


def test_a_key_that_expires_ends_its_running_stream(
    connect: Connect, tgi: FakeTgi, funded: Team, raw: httpx2.Client, api_key: str
) -> None:
    tgi.script.silent_after = 2
    expires_at = clock.now() + timedelta(seconds=3)
    ApiKey.objects.update(expires_at=expires_at)
    with connect(body(stream=True)) as wire:
        wire.read_words(2)
        wire.read_until(b"[DONE]")
        assert 0 <= (clock.now() - expires_at).total_seconds() < SOON
    assert b'"code":"invalid_api_key"' in wire.received
    within(1, lambda: asked(tgi)[0].closed_at)
    assert the_run().ending == "revoked"
    assert status(raw) == 401


def test_a_team_that_is_switched_off_loses_its_running_stream(connect: Connect, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.silent_after = 2
    with connect(body(stream=True)) as wire:
        wire.read_words(2)
        switch_off()
        wire.read_until(b"inference_disabled")
    assert the_run().ending == "revoked"


def test_another_teams_change_ends_nothing(connect: Connect, tgi: FakeTgi, funded: Team, stranger: User) -> None:
    tgi.script.between = 0.2
    with connect(body(stream=True, max_tokens=8)) as wire:
        wire.read_words(1)
        Team.objects.filter(slug="elsewhere").update(is_enabled=False)
        wire.read_until(b"[DONE]")
    assert the_run().ending == "length"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (revoke, 401),
        (switch_off, 403),
        (lambda: ApiKey.objects.update(expires_at=timezone.now()), 401),
        (lambda: User.objects.filter(email="member@example.org").update(is_active=False), 401),
        (lambda: Project.objects.filter(team__slug="acme").update(slug="moved"), 200),
        (lambda: Model.objects.update(lifecycle=Model.Lifecycle.RETIRED), 404),
        (lambda: Endpoint.objects.update(is_enabled=False), 503),
    ],
    ids=["key revoked", "team off", "key expired", "issuer gone", "project renamed", "model retired", "endpoint off"],
)
def test_a_change_is_seen_within_a_second(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, change: Callable[[], object], refused: int
) -> None:
    assert status(raw) == 200
    change()
    within(SOON, lambda: status(raw) == refused)


def test_a_new_price_is_charged_within_a_second(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    assert status(raw) == 200
    rates = dict.fromkeys(("input", "output", "cached_input"), 1_000_000)
    Price.objects.create(model_id=MODEL, **{f"{name}_microcredits_per_mtok": rate for name, rate in rates.items()})
    dearer_nano = (prompt_tokens() + 1) * 1_000

    def costs() -> int:
        before = balance(funded)
        assert status(raw) == 200
        return before - balance(funded)

    within(SOON, lambda: costs() == dearer_nano)


def test_a_new_endpoint_is_used_within_a_second(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    assert status(raw) == 200
    with FakeTgi() as other:
        Endpoint.objects.all().delete()
        register(other)
        within(SOON, lambda: status(raw) == 200 and asked(other))
    # Those that the removed endpoint answered meanwhile are paid for, and have their rows.
    runs = Run.objects.filter(endpoint=None)
    assert runs.count() == len(asked(tgi))
    assert charges(funded) == [cost_nano(1)] * Run.objects.count()


def test_a_key_opens_its_own_project_and_no_other(
    raw: httpx2.Client, client: OpenAI, tgi: FakeTgi, funded: Team, stranger: User
) -> None:
    funded.projects.create(slug="research")
    assert status(raw, **{"OpenAI-Project": "acme/inference"}) == 200
    assert status(raw, **{"OpenAI-Project": ""}) == 200
    for path in ("acme/research", "elsewhere/inference", "acme", "inference", "acme/inference/", "ACME/inference"):
        assert status(raw, **{"OpenAI-Project": path}) == 401, path
        assert raw.get("/v1/models", headers={"OpenAI-Project": path}).status_code == 401
    with pytest.raises(openai.AuthenticationError):
        client.with_options(project="elsewhere/inference").chat.completions.create(**body())


def test_a_teams_key_opens_each_of_its_projects(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, member: User, stranger: User
) -> None:
    funded.projects.create(slug="research")
    raw.headers["Authorization"] = f"Bearer {keys.create(name='whole', issuer=member, team=funded)[1]}"
    assert status(raw, **{"OpenAI-Project": "acme/research"}) == 200
    assert the_run().project.slug == "research"
    assert status(raw) == 200
    assert status(raw, **{"OpenAI-Project": "elsewhere/inference"}) == 401


def test_a_header_that_is_not_quite_right_opens_nothing(raw: httpx2.Client, api_key: str, tgi: FakeTgi) -> None:
    hostile = [
        *("", "Bearer", "Basic dTpw", "Bearer null", "Bearer parley_", "Bearer \xff\xfe", "Bearer " + "x" * 8_000),
        *("Bearer parley_000000000000_" + "0" * 49, f"Token {api_key}", api_key, f"Bearer {api_key}x"),
        *(f"Bearer {api_key} {api_key}", f"Bearer {api_key}, Bearer {api_key}", f"Bearer\t{api_key}"),
        *(f"Bearer \u00e9{api_key}", f"Bearer {api_key[:-1]}", f"Bearer {api_key.upper()}"),
    ]
    for header in hostile:
        value = {b"authorization": header.encode("latin-1")}
        for response in (
            raw.get("/v1/models", headers=value),
            raw.post("/v1/chat/completions", json=body(), headers=value),
        ):
            assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key"), header


def test_a_project_that_cannot_be_is_refused(raw: httpx2.Client, tgi: FakeTgi) -> None:
    for path in (
        "../acme/inference",
        "acme//inference",
        "acme/inf\xe9rence",
        "\xff" * 300,
        "a" * 5_000,
        "acme/%00",
        "*/*",
    ):
        value = {b"openai-project": path.encode("latin-1")}
        assert raw.get("/v1/models", headers=value).status_code == 401
        assert raw.post("/v1/chat/completions", json=body(), headers=value).status_code == 401


def test_a_key_in_any_case_of_bearer_is_a_key(raw: httpx2.Client, api_key: str, tgi: FakeTgi) -> None:
    for scheme in ("bearer", "BEARER"):
        assert raw.get("/v1/models", headers={"Authorization": f"{scheme}   {api_key}"}).status_code == 200


def test_two_keys_in_two_headers_open_nothing(raw: httpx2.Client, api_key: str, tgi: FakeTgi, funded: Team) -> None:
    twice = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {api_key}")]
    with httpx2.Client(base_url=raw.base_url) as bare:
        for headers in (twice, twice[::-1]):
            assert bare.get("/v1/models", headers=headers).status_code == 401
            assert bare.post("/v1/chat/completions", json=body(), headers=headers).status_code == 401
