"""Every failure has a true status, one shape, and a place in the documentation."""

import re
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from django.conf import settings
from django.test import Client as Browser
from openai import OpenAI
from pytest_django.fixtures import Settings

from accounts.models import Team, User
from config.serving import limits
from credits.models import Account, Hold
from inference.errors import ConcurrencyLimited
from inference.models import Run
from tests.api.scenes import body
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import MODEL
from tests.server import Server
from web.errors import MEANINGS, describe

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTED = set(re.findall(r"^## (\w+)$", (Path(settings.BASE_DIR) / "docs" / "errors.md").read_text(), re.MULTILINE))


def check_shape(response: httpx2.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """Check everything that all errors have in common, and return the error."""
    assert response.status_code == status, response.text
    assert re.fullmatch(r"req_[0-9a-f]{32}", response.headers["x-request-id"])
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    error: dict[str, Any] = answer["error"]
    assert answer == {"error": error}
    assert set(error) == {"message", "type", "param", "code", "doc_url"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["doc_url"] == f"http://testserver/docs/errors#{code}"
    assert code in DOCUMENTED
    assert error["message"]
    assert error["type"]
    return error


def post(raw: httpx2.Client, **fields: Any) -> httpx2.Response:
    return raw.post("/v1/chat/completions", json=body(**fields))


def test_every_code_has_a_heading_in_the_documentation() -> None:
    from_the_server_itself = {limits.bad_request("").code, limits.server_error().code, limits.too_large().code}
    assert set(MEANINGS) | from_the_server_itself <= DOCUMENTED


def test_what_nobody_foresaw_is_told_without_its_internals(caplog: pytest.LogCaptureFixture) -> None:
    described = describe(RuntimeError("password=secret"))
    assert (described.status, described.code) == (500, "server_error")
    assert "secret" not in str(described.body)
    assert "password=secret" in caplog.text


def test_no_key_is_401(client: OpenAI, raw: httpx2.Client, tgi: FakeTgi) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").chat.completions.create(**body())
    del raw.headers["Authorization"]
    for response in (raw.get("/v1/models"), raw.get(f"/v1/models/{MODEL}"), raw.get("/v1/no/such"), post(raw)):
        error = check_shape(response, 401, "invalid_api_key")
        assert error["message"] == "Missing bearer authentication in header"
        assert response.headers["www-authenticate"] == "Bearer"


def test_no_credits_is_402_and_not_tried_again(client: OpenAI, raw: httpx2.Client, tgi: FakeTgi) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.with_options(max_retries=2).chat.completions.create(**body())
    assert raised.value.status_code == 402
    assert raised.value.code == "insufficient_quota"
    response = post(raw)
    check_shape(response, 402, "insufficient_quota")
    assert response.headers["x-should-retry"] == "false"


def test_an_unknown_model_is_404(client: OpenAI, raw: httpx2.Client, funded: Team) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**body(model="no/such"))
    check_shape(post(raw, model="no/such"), 404, "model_not_found", "model")


def test_a_wrong_parameter_is_400(client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**body(temperature=3))
    error = check_shape(post(raw, temperature=3), 400, "invalid_parameter", "temperature")
    assert error["message"] == "temperature: Expected `float` <= 2.0"
    check_shape(post(raw, n=2), 400, "unsupported_parameter", "n")


def test_what_the_engine_refuses_is_400(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    error = check_shape(post(raw, max_tokens=4090), 400, "context_length_exceeded", "max_tokens")
    assert "4096" in error["message"]


def test_a_request_that_does_not_fit_is_told_in_openais_sentence(
    raw: httpx2.Client, tgi: FakeTgi, funded: Team
) -> None:
    error = check_shape(post(raw, max_tokens=4090), 400, "context_length_exceeded", "max_tokens")
    assert error["message"].startswith(
        "This model's maximum context length is 4096 tokens. However, you requested 4107 tokens (your messages "
        "resulted in 17 tokens, and 4090 are for the completion). Please reduce the length of the messages or "
        "completion."
    )
    long = [{"role": "user", "content": "word " * 5000}]
    error = check_shape(post(raw, messages=long), 400, "context_length_exceeded", "messages")
    assert re.match(
        r"This model's maximum context length is 4096 tokens\. However, your messages resulted in 5\d\d\d tokens\. "
        r"Please reduce the length of the messages\.",
        error["message"],
    )


def test_a_site_may_refuse_with_the_statuses_of_w_and_b(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.VALIDATION_STATUS = 422
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(**body(temperature=3))
    check_shape(post(raw, temperature=3), 422, "invalid_parameter", "temperature")
    check_shape(post(raw, n=2), 422, "unsupported_parameter", "n")
    check_shape(post(raw, max_tokens=4090), 422, "context_length_exceeded", "max_tokens")
    check_shape(raw.post("/v1/chat/completions", content=b"{"), 400, "malformed_body")


def test_a_site_may_say_429_where_credits_end(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, settings: Settings
) -> None:
    settings.QUOTA_STATUS = 429
    with pytest.raises(openai.RateLimitError) as raised:
        client.with_options(max_retries=2).chat.completions.create(**body())
    assert raised.value.code == raised.value.type == "insufficient_quota"
    response = post(raw)
    check_shape(response, 429, "insufficient_quota")
    assert response.headers["x-should-retry"] == "false"
    assert "retry-after" not in response.headers


def test_no_retry_after_is_longer_than_clients_wait() -> None:
    refusal = ConcurrencyLimited.at(3, 600)
    assert describe(refusal).headers["retry-after"] == "60"
    assert describe(refusal).headers["x-ratelimit-reset-requests"] == "60s"


def test_too_many_at_once_is_429(
    client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY = 1
    tgi.script.silent_after = 1
    with client.chat.completions.create(**body(stream=True)) as running:
        next(iter(running))
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**body())
        response = post(raw)
        error = check_shape(response, 429, "concurrency_limit_reached")
        assert error["message"] == "Concurrency limit reached for requests"
        retry_after = response.headers["retry-after"]
        assert int(retry_after) >= 1
        assert {name: value for name, value in response.headers.items() if name.startswith("x-ratelimit-")} == {
            "x-ratelimit-limit-requests": "1",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": f"{retry_after}s",
        }


def test_an_overloaded_engine_is_503(client: OpenAI, raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.overloaded = True
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(**body())
    assert raised.value.status_code == 503
    response = post(raw, stream=True)
    check_shape(response, 503, "engine_overloaded")
    assert response.headers["retry-after"] == "2"


def test_an_absent_engine_is_503(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    tgi.script.response = (502, "text/html", b"<h1>Bad Gateway http://10.0.0.1</h1>")
    error = check_shape(post(raw, stream=True), 503, "engine_unavailable")
    assert "10.0.0.1" not in str(error)


def test_a_slow_engine_is_504(raw: httpx2.Client, tgi: FakeTgi, funded: Team, settings: Settings) -> None:
    settings.FIRST_TOKEN_SECONDS = 0.2
    tgi.script.silent_after = 0
    check_shape(post(raw, stream=True), 504, "engine_timeout")


def test_a_body_that_is_not_json_is_400(raw: httpx2.Client) -> None:
    check_shape(raw.post("/v1/chat/completions", content=b"{"), 400, "malformed_body")


def test_a_method_or_an_address_that_is_not_there(raw: httpx2.Client) -> None:
    for response in (raw.get("/v1/chat/completions"), raw.put("/v1/chat/completions"), raw.post("/v1/models", json={})):
        check_shape(response, 405, "method_not_allowed")
    assert raw.get("/v1/chat/completions").headers["allow"] == "POST"
    for path in ("/v1/", "/v1/edits", "/v1//models"):
        assert raw.get(path).status_code == 404, path
    check_shape(raw.post("/v1/moderations", json={}), 404, "not_found")


@pytest.mark.parametrize("accepted", ["text/event-stream", "text/html", "application/xml", "nonsense"])
def test_what_a_client_accepts_is_its_own_affair(raw: httpx2.Client, tgi: FakeTgi, funded: Team, accepted: str) -> None:
    raw.headers["Accept"] = accepted
    for response in (raw.get("/v1/models"), raw.get("/v1/receipts"), post(raw)):
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    check_shape(raw.get("/v1/no/such"), 404, "not_found")


def test_a_body_that_is_too_large_is_413(raw: httpx2.Client, settings: Settings) -> None:
    settings.MAX_BODY_BYTES = 1_000
    for path in ("/v1/chat/completions", "/v1/models", "/login"):
        check_shape(raw.post(path, content=b" " * 1_001), 413, "request_too_large")
        check_shape(raw.post(path, content=iter([b" " * 600] * 2)), 413, "request_too_large")


def test_every_response_has_an_id_of_its_own(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    responses = [
        post(raw),
        post(raw, stream=True),
        raw.get("/v1/models"),
        raw.get("/no/such/page"),
        raw.options("/v1/models"),
        raw.head("/v1/models"),
        raw.get("/v1/models", headers={"X-Request-Id": "mine"}),
    ]
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == len(responses)
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", each) for each in ids)


def test_a_refusal_leaves_no_run_and_no_hold(raw: httpx2.Client, tgi: FakeTgi, funded: Team) -> None:
    for fields in ({"model": "no/such"}, {"temperature": 3}, {"n": 2}):
        assert post(raw, **fields).status_code in (400, 404)
    Team.objects.update(is_enabled=False)
    raw.headers["OpenAI-Project"] = "acme/inference"
    check_shape(post(raw), 403, "inference_disabled")
    assert not Run.objects.exists()
    assert not Hold.objects.exists()


def test_a_session_cookie_opens_nothing(site: Server, owner: User, tgi: FakeTgi, funded: Team) -> None:
    browser = Browser()
    browser.force_login(owner)
    cookies = {name: morsel.value for name, morsel in browser.cookies.items()}
    with httpx2.Client(base_url=site.url, cookies=cookies) as signed_in:
        for response in (signed_in.get("/v1/models"), post(signed_in), signed_in.get("/v1/x")):
            check_shape(response, 401, "invalid_api_key")
        assert "set-cookie" not in response.headers
    assert Account.objects.get(team=funded).entry_count == 1
