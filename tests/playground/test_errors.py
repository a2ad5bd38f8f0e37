import pytest

from accounts.errors import RoleMayNotCall
from api import errors as api
from credits.errors import InsufficientCredits, LedgerUnavailable
from inference import errors as inference
from playground.errors import describe, status

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


@pytest.mark.parametrize("error", SHARED, ids=lambda error: type(error).__name__)
def test_the_browser_and_the_api_tell_the_same_of_the_same_error(error: Exception) -> None:
    ours = describe(error)
    assert ours.pop("request_id") is None
    assert {"error": ours} == api.describe(error).body
    assert status(error) == api.describe(error).status
