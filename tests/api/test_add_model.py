"""An operator adds a model, and a program calls it."""

import pytest
from django.core.management import call_command
from openai import OpenAI
from pytest_django.fixtures import Settings

from accounts.models import Team
from tests.api.scenes import balance
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import DOLLAR, prompt_tokens

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


def test_a_model_that_was_just_added_answers(
    client: OpenAI, engines: object, funded: Team, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.HF_HUB_OFFLINE = True
    messages = [{"role": "user", "content": "hello"}]
    with FakeTgi(max_total_tokens=2_048, api_key="engine-key") as tgi:
        call_command(
            *("add_model", "org/model", "--endpoint", tgi.url, "--kind", "tgi", "--credential", "engine-key"),
            *("--price-in", "0.22", "--price-out", "0.22", "--json"),
        )
        assert client.models.retrieve("org/model").model_extra
        completion = client.chat.completions.create(model="org/model", messages=messages, max_tokens=4)  # type: ignore[arg-type]
    assert completion.choices[0].message.content == "The quick brown fox"
    assert balance(funded) == DOLLAR - (prompt_tokens(messages) + 4) * 220
    assert "engine-key" not in capsys.readouterr().out
