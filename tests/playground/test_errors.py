import pytest
from django.test import Client

from accounts.errors import RoleMayNotCall
from credits.errors import InsufficientCredits, LedgerUnavailable
from inference import errors as inference
from playground.errors import error_json, problem_of
from web import errors as api
from web.snippets import base_url

SHARED: list[Exception] = [
    RoleMayNotCall(),
    InsufficientCredits(available_nano=1, balance_nano=2, needed_nano=3),
    LedgerUnavailable(),
    inference.MalformedBody("no JSON"),
    inference.UnsupportedParameter("logprobs", param="logprobs"),
    inference.InvalidRequest("too hot", param="temperature"),
    inference.ModelNotFound("gone"),
    inference.InferenceDisabled(),
    inference.ConcurrencyLimited(),
    inference.EngineRefused("no", param="stop"),
    inference.EngineOverloaded(),
    inference.EngineUnavailable(),
    inference.EngineTimeout(),
    inference.EngineFailed(),
]


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer parley_x"}, {"Accept": "application/json"}])
def test_a_program_that_forgot_the_end_of_the_base_url_is_told_it(client: Client, headers: dict[str, str]) -> None:
    response = client.post("/chat/completions", "{}", content_type="application/json", headers=headers)
    assert response.status_code == 404
    assert response.json()["error"]["message"].endswith(f"The base URL of the API is {base_url()}")
    assert response.json()["error"]["code"] == "not_found"


def test_a_person_at_a_wrong_address_sees_a_page(client: Client) -> None:
    response = client.get("/nowhere", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.status_code == 404
    assert "<h1>Not found</h1>" in response.content.decode()


@pytest.mark.parametrize("error", SHARED, ids=lambda error: type(error).__name__)
def test_the_browser_and_the_api_tell_the_same_of_the_same_error(error: Exception) -> None:
    ours = error_json(error)
    assert ours.pop("request_id") is None
    assert {"error": ours} == api.describe(error).body
    assert problem_of(error).status == api.describe(error).status
