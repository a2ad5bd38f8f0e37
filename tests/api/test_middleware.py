"""What every exchange under /v1 gets: a key by either name, addresses with a slash, pages of other sites."""

import httpx2
import pytest
from pytest_django.fixtures import Settings

from accounts.models import Team
from tests.api.scenes import body
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "https://chat.example.org"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def test_a_key_may_come_as_anthropics_clients_send_it(site: Server, api_key: str, tgi: FakeTgi, funded: Team) -> None:
    with httpx2.Client(base_url=site.url, headers={"x-api-key": api_key}) as client:
        assert client.post("/v1/chat/completions", json=body()).status_code == 200
        assert client.get("/v1/models").status_code == 200
        wrong = {"Authorization": "Bearer parley_wrong"}
        assert client.get("/v1/models", headers=wrong).status_code == 401
        assert client.get("/metrics").status_code == client.get("/healthz").status_code == 200
        # A page is not opened by a key.
        assert client.get("/").status_code == 302


def test_a_slash_at_the_end_of_an_address_means_nothing(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    assert raw.post("/v1/chat/completions/", json=body()).status_code == 200
    assert raw.get("/v1/models/").json() == raw.get("/v1/models").json()
    assert raw.get(f"/v1/models/{MODEL}/").json()["id"] == MODEL
    assert raw.get("/v1/").status_code == 404


def test_every_response_tells_how_long_it_took(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    for response in (
        raw.post("/v1/chat/completions", json=body()),
        raw.post("/v1/chat/completions", json=body(stream=True)),
        raw.get("/v1/models"),
        raw.get("/v1/no/such"),
    ):
        assert 0 <= int(response.headers["openai-processing-ms"]) < 60_000
    assert "openai-processing-ms" not in raw.get("/healthz").headers


@pytest.mark.parametrize("site", [False, True], indirect=True)
def test_no_cache_keeps_an_answer_or_an_error(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    for response in (
        raw.post("/v1/chat/completions", json=body()),
        raw.post("/v1/chat/completions", json=body(stream=True)),
        raw.post("/v1/chat/completions", content=b"{"),
        raw.get("/v1/models"),
        raw.get("/v1/usage?format=csv"),
        raw.get("/v1/no/such"),
        raw.get("/v1/models", headers={"Authorization": "Bearer parley_wrong"}),
    ):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"].startswith("req_")


def test_no_page_may_call_unless_it_is_listed(raw: httpx2.Client, settings: Settings) -> None:
    for origins in ((), ("https://other.example.org",)):
        settings.CORS_ORIGINS = origins
        for response in (
            raw.options("/v1/chat/completions", headers=PREFLIGHT),
            raw.get("/v1/models", headers={"Origin": PAGE}),
        ):
            assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("site", [False, True], indirect=True)
@pytest.mark.parametrize("origins", [(PAGE,), ("*",)])
def test_a_listed_page_may_call(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team, settings: Settings, origins: tuple[str, ...]
) -> None:
    settings.CORS_ORIGINS = origins
    asked = raw.options("/v1/chat/completions", headers=PREFLIGHT)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
    assert "POST" in asked.headers["access-control-allow-methods"]
    answered = raw.post("/v1/chat/completions", json=body(), headers={"Origin": PAGE})
    settings.MAX_BODY_BYTES = 10
    refused = raw.post("/v1/chat/completions", json=body(), headers={"Origin": PAGE})
    assert (answered.status_code, refused.status_code) == (200, 413)
    for response in (asked, answered, refused):
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["vary"] == "Origin"
        assert "x-request-id" in response.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in response.headers
        assert "x-request-id" in response.headers
    assert not [name for name in raw.get("/login", headers={"Origin": PAGE}).headers if name.startswith("access-")]


@pytest.mark.parametrize("path", ["/", "/login", "/chat/completions", "/no/such", "/v2/models"])
def test_json_at_the_wrong_address_is_answered_in_json(site: Server, path: str) -> None:
    with httpx2.Client(base_url=site.url) as client:
        response = client.post(path, json=body())
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"
        assert response.json()["error"]["message"].endswith("/v1")
        form = client.post("/login", data={"email": "x"})
        assert (form.status_code, form.headers["content-type"]) == (403, "text/html; charset=utf-8")


def test_a_server_is_asked_for_its_health_where_others_have_it(site: Server) -> None:
    assert httpx2.get(f"{site.url}/health").json() == {"status": "ok"}
