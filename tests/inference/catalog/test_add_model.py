import json
import socket
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings

from inference.catalog.registration import microcredits_per_mtok
from inference.models import MAX_PRICE_MICROCREDITS_PER_MTOK, Endpoint, Model, Price
from tests.fakes.openai_server import FakeLlamaCpp, FakeOllama, FakeOpenAI
from tests.fakes.tgi import FakeTgi

pytestmark = [pytest.mark.django_db, pytest.mark.either_database]


@pytest.fixture(autouse=True)
def _offline(settings: Settings) -> None:
    settings.HF_HUB_OFFLINE = True


def add_model(
    url: str, *more: str, capsys: pytest.CaptureFixture[str], kind: str = "tgi", price: str = "0.22"
) -> dict[str, Any]:
    prices = (f"--price-in={price}", f"--price-out={price}")
    call_command("add_model", "org/model", "--endpoint", url, "--kind", kind, *prices, *more, "--json")
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_a_tgi_server_tells_its_own_limits(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi(max_total_tokens=2048, max_concurrent_requests=16) as tgi:
        summary = add_model(tgi.url, capsys=capsys)
    model, endpoint = Model.objects.get(), Endpoint.objects.get()
    assert (model.id, model.name, model.context_tokens, model.template_tokens) == ("org/model", "model", 2048, 7)
    assert (model.modalities, model.features) == (["text"], ["structured_output"])
    assert (endpoint.base_url, endpoint.kind, endpoint.concurrency) == (tgi.url, "tgi", 16)
    price = Price.objects.get()
    assert price.input_microcredits_per_mtok == price.output_microcredits_per_mtok == 220_000
    assert price.cached_input_microcredits_per_mtok == 220_000
    assert summary["is_new_model"]
    assert "HF_HUB_OFFLINE" in summary["notes"][0]
    assert "serves HuggingFaceTB" in summary["notes"][1]


@pytest.mark.parametrize(
    ("kind", "fake", "limits"), [("openai", FakeOpenAI, (8192, 64)), ("llamacpp", FakeLlamaCpp, (2048, 4))]
)
def test_other_servers_tell_theirs(
    capsys: pytest.CaptureFixture[str], kind: str, fake: type[FakeOpenAI], limits: tuple[int, int]
) -> None:
    with fake(api_key="secret") as server:
        summary = add_model(f"{server.url}/v1/", "--credential=secret", capsys=capsys, kind=kind)
    assert (summary["context_tokens"], summary["concurrency"]) == limits
    assert summary["endpoint"] == server.url


def test_the_operators_word_counts_more_than_the_servers(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi() as tgi:
        summary = add_model(tgi.url, "--context=1000", "--concurrency=3", "--price-cached=0", capsys=capsys)
    assert (summary["context_tokens"], summary["concurrency"]) == (1000, 3)
    assert summary["cached_input_microcredits_per_mtok"] == 0


def test_the_same_again_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi(api_key="secret") as tgi:
        add_model(tgi.url, "--credential=secret", capsys=capsys)
        summary = add_model(tgi.url, capsys=capsys)
    assert not any(summary[field] for field in ("is_new_model", "is_new_endpoint", "is_new_price"))
    assert Endpoint.objects.get().credential == "secret"
    assert Price.objects.count() == 1


def test_a_second_server_is_added_and_the_smaller_context_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi() as large, FakeTgi(max_total_tokens=1024) as small:
        add_model(large.url, capsys=capsys)
        assert add_model(small.url, capsys=capsys)["context_tokens"] == 1024
        assert add_model(large.url, capsys=capsys)["context_tokens"] == 1024
    assert Endpoint.objects.count() == 2


def test_a_changed_price_is_a_new_version(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi() as tgi:
        add_model(tgi.url, capsys=capsys)
        assert add_model(tgi.url, capsys=capsys, price="0.23")["is_new_price"]
    assert list(Price.objects.order_by("starts_at").values_list("input_microcredits_per_mtok", flat=True)) == [
        220_000,
        230_000,
    ]


def test_people_get_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi() as tgi:
        call_command("add_model", "a/b", "--endpoint", tgi.url, "--kind=tgi", "--price-in=1", "--price-out=2")
    assert "Added a/b with a new endpoint tgi at http://" in capsys.readouterr().out


@pytest.mark.parametrize("price", ["NaN", "inf", "-0.1", "-0", "0.0000001", "1000.01", "1e9", "free", "", "1,5"])
def test_an_absurd_price_is_refused(capsys: pytest.CaptureFixture[str], price: str) -> None:
    with FakeTgi() as tgi, pytest.raises(CommandError, match="price"):
        add_model(tgi.url, capsys=capsys, price=price)
    assert not Model.objects.exists()


@pytest.mark.parametrize(
    ("dollars", "microcredits"),
    [("0.22", 220_000), ("0", 0), ("1000", MAX_PRICE_MICROCREDITS_PER_MTOK), ("0.000001", 1), ("0.2200000", 220_000)],
)
def test_a_price_becomes_a_whole_number(dollars: str, microcredits: int) -> None:
    assert microcredits_per_mtok(dollars) == microcredits


@pytest.mark.parametrize(
    "url", ["ftp://host", "host:80", "http://user:secret@host", "http://host/?key=1", "http://", "http://h:99999", ""]
)
def test_an_address_that_cannot_be_right_is_refused(capsys: pytest.CaptureFixture[str], url: str) -> None:
    with pytest.raises(CommandError, match="address"):
        add_model(url, capsys=capsys)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://8.8.8.8:8080", "http://0x7f000001", "http://[::ffff:169.254.1.1]:80/v1"]
)
def test_a_place_where_no_engine_may_be_is_refused(capsys: pytest.CaptureFixture[str], url: str) -> None:
    for unchecked in ((), ("--no-check", "--context=4096")):
        with pytest.raises(CommandError, match="No engine may be at this address"):
            add_model(url, *unchecked, capsys=capsys)
    assert not Model.objects.exists()


def test_an_id_that_callers_could_not_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    prices = ("--price-in=1", "--price-out=1")
    with FakeTgi() as tgi, pytest.raises(CommandError, match="owner/name"):
        call_command("add_model", "a b", "--endpoint", tgi.url, "--kind=tgi", *prices)
    assert not Model.objects.exists()


def test_a_server_that_is_not_there_is_not_added_unless_unchecked(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(CommandError, match="--no-check"):
            add_model(url, capsys=capsys)
        with pytest.raises(CommandError, match="--context"):
            add_model(url, "--no-check", capsys=capsys)
        assert not Model.objects.exists()
        assert add_model(url, "--no-check", "--context=4096", capsys=capsys)["is_new_model"]


def test_a_wrong_credential_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeTgi(api_key="right") as tgi, pytest.raises(CommandError) as raised:
        add_model(tgi.url, "--credential=wrong-secret", capsys=capsys)
    assert "wrong-secret" not in str(raised.value)
    assert f"POST {tgi.url}/tokenize answered 401: nothing. It wants another key" in str(raised.value)


@pytest.mark.parametrize(
    ("fake", "kind", "other"),
    [
        (FakeTgi(), "llamacpp", "tgi"),
        (FakeLlamaCpp(), "tgi", "llamacpp"),
        (FakeOllama(), "tgi", "ollama"),
        (FakeOpenAI(owned_by="vllm"), "tgi", "vllm"),
        (FakeOpenAI(), "llamacpp", "openai"),
    ],
)
def test_another_kind_of_server_is_known(capsys: pytest.CaptureFixture[str], fake: Any, kind: str, other: str) -> None:
    with fake as server, pytest.raises(CommandError) as raised:
        add_model(server.url, kind=kind, capsys=capsys)
    assert " answered 404: " in str(raised.value)
    assert f"try --kind {other}." in str(raised.value)


def test_adapters_that_are_served_too_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOpenAI(owned_by="vllm", adapters=("poet",)) as server:
        notes = add_model(server.url, kind="vllm", capsys=capsys)["notes"]
        assert any("adapters too: poet." in note for note in notes)
        assert not add_model(server.url, "--upstream-model=poet", kind="vllm", capsys=capsys)["is_new_model"]


@pytest.mark.parametrize("name", ["owl\x1b[2J", "\u202elwo", "owl\u200b", "owl\nowl", " owl", "o" * 201])
def test_a_name_that_is_not_seen_as_it_is_is_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    url = "http://127.0.0.1:9"
    for where, named in ((url, f"--upstream-model={name}"), (f"{url}/{name}", "--upstream-model=owl")):
        with pytest.raises(CommandError) as raised:
            add_model(where, named, "--no-check", "--context=4096", capsys=capsys)
        assert str(raised.value).isprintable()
    assert not Model.objects.exists()


def test_names_that_a_server_gives_are_shown_as_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["\x1b[2Jowl", "\u202elwo", "o" * 10_000, *(f"poet-{number}" for number in range(100))]
    with FakeOpenAI(owned_by="vllm", model="\x1b]0;owl\x07", adapters=tuple(names)) as server:
        prices = ("--price-in=1", "--price-out=1")
        call_command("add_model", "org/model", "--endpoint", server.url, "--kind=vllm", "--context=4096", *prices)
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert "adapters too: \\x1b[2Jowl, \\u202elwo, ooo" in shown
    assert "and 83 more" in shown
    assert len(shown) < 2_000


def test_a_model_that_does_not_chat_is_listed_for_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with FakeOpenAI(owned_by="vllm") as server:
        add_model(server.url, "--feature=embeddings", kind="openai", capsys=capsys)
    assert not [request for request in server.requests if request.path == "/v1/chat/completions"]
    assert Model.objects.get().features == ["embeddings"]
