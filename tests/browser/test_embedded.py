"""A person and the embedded model, on the site that ``manage.py serve`` runs."""

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import program
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE, Watch
from tests.browser.stage import charged_nano
from tests.patience import until
from tests.site import Site


@pytest.fixture
def embedded(page: Page, site: Site) -> Chat:
    """The playground with the embedded model and short answers."""
    chat = Chat(page)
    chat.open(site.model)
    chat.set("Maximum tokens", 16)
    return chat


def engine_rests(site: Site) -> bool:
    """Whether the embedded engine does nothing for a while; generating takes all the processor that there is."""
    assert site.engine
    before = site.engine.cpu_times()
    time.sleep(0.3)
    after = site.engine.cpu_times()
    return bool(after.user + after.system - before.user - before.system < 0.03)


def test_a_person_signs_in_with_the_printed_login_and_holds_a_chat_of_three_turns(browser: Browser, site: Site) -> None:
    with browser.new_context(base_url=site.url, viewport=WIDE) as context:
        watch = Watch(context, site.url)
        page = context.new_page()
        page.goto("/playground")
        email, password = re.findall(r"Sign in +(\S+) +(\S+)", site.output)[0]
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(re.compile(r"/playground$"))
        page.get_by_role("link", name="Models", exact=True).click()
        card = page.get_by_role("listitem").filter(has_text=site.model.partition("/")[2].split("-")[0])
        expect(card).to_contain_text("Up")
        card.get_by_role("link", name="Try in playground").click()
        chat = Chat(page)
        expect(chat.composer).to_have_attribute("placeholder", "Message SmolLM2 135M Instruct")
        chat.set("Maximum tokens", 16)
        for count, question in enumerate(("What is the capital of France?", "And of Italy?", "And of Spain?"), start=1):
            chat.ask(question)
            expect(chat.answers).to_have_count(count)
            chat.wait_for_text()
        tokens_in, tokens_out = map(int, chat.fact(r"(\d+) in, (\d+) out").groups())
        shown = chat.fact(r"\$(0\.\d{4,9})")[1]
        title = chat.answer.get_by_title("Cost of this answer").get_attribute("title") or ""
        cost = title.removeprefix("Cost of this answer: $")
        # Three digits are read in passing; the exact amount is under the pointer.
        assert cost.startswith(shown)
        chat.fact(r"\d (ms|s) to first token")
        chat.fact(r"\d+\.\d tokens/s")
        chat.fact(r"finished|token limit reached")
        run = chat.last_stored()["run"]
        assert (run["prompt_tokens"], run["completion_tokens"], run["cost_dollars"]) == (tokens_in, tokens_out, cost)
        assert round(float(cost) * 1e9) == charged_nano(site, run["run"]) > 0
        assert [message["state"] for message in chat.stored()["messages"]] == ["complete"] * 6
        assert watch.report() == []


def test_escape_stops_an_answer_and_only_what_was_delivered_is_charged(embedded: Chat, site: Site) -> None:
    embedded.set("Maximum tokens", 1500)
    embedded.send("Write a long story about a fox.")
    embedded.wait_for_text(r"(\w+\W+){5}")
    embedded.page.keyboard.press("Escape")
    embedded.finish()
    expect(embedded.answer).to_contain_text("Stopped")
    shown = embedded.text.inner_text()
    assert any(engine_rests(site) for _ in range(10))
    message = embedded.last_stored()
    assert (message["state"], message["run"]["ending"]) == ("stopped", "stopped")
    assert message["content"].split()[:5] == shown.split()[:5]
    run = message["run"]
    assert 5 <= run["completion_tokens"] < 1000
    until(lambda: charged_nano(site, run["run"]) == round(float(run["cost_dollars"]) * 1e9) > 0)
    embedded.fact(rf"{run['prompt_tokens']} in, {run['completion_tokens']} out")


def test_an_answer_goes_on_over_a_reload_without_a_gap_or_a_double(embedded: Chat) -> None:
    # Neither a fast machine is to come to the end before the page is back, nor a slow one to be waited for.
    embedded.set("Maximum tokens", 1500)
    embedded.send("Write a long story about a fox.")
    embedded.wait_for_text(r"(\w+\W+){5}")
    chunks: dict[int, str] = {}

    def heard(frame: str | bytes) -> None:
        told = json.loads(frame)
        if told["type"] == "chunks":
            for number, chunk in enumerate(told["chunks"], start=told["from"]):
                assert number not in chunks
                chunks[number] = chunk.get("content", "")

    embedded.page.on("websocket", lambda socket: socket.on("framereceived", heard))
    embedded.page.reload()
    expect(embedded.questions).to_have_text(["Write a long story about a fox."])
    embedded.wait_for_text(r"(\w+\W+){10}")
    embedded.page.keyboard.press("Escape")
    embedded.finish()
    stored = embedded.last_stored()
    assert stored["state"] == "stopped"
    assert sorted(chunks) == list(range(1, len(chunks) + 1))
    assert "".join(chunks[number] for number in sorted(chunks)) == stored["content"]
    shown = embedded.text.inner_text()
    embedded.page.reload()
    expect(embedded.text).to_have_text(shown, use_inner_text=True)


def test_draft_system_prompt_and_parameters_survive_a_reload(embedded: Chat) -> None:
    page = embedded.page
    embedded.set("Temperature", 0.4)
    page.get_by_label("System prompt").fill("Answer like a fox.")
    page.get_by_label("Stop sequences").fill("END\nSTOP")
    embedded.composer.fill("Half a thought")
    embedded.wait_until_kept("Half a thought")
    page.reload()
    expect(embedded.composer).to_have_value("Half a thought")
    expect(page.get_by_label("System prompt")).to_have_value("Answer like a fox.")
    expect(page.get_by_label("Stop sequences")).to_have_value("END\nSTOP")
    expect(page.get_by_role("spinbutton", name="Temperature", exact=True)).to_have_value("0.4")
    expect(page.get_by_role("spinbutton", name="Maximum tokens", exact=True)).to_have_value("16")


def test_the_copied_python_runs(embedded: Chat, site: Site, tmp_path: Path) -> None:
    embedded.set("Temperature", 0)
    embedded.ask("What is the capital of France?")
    printed = program.run(embedded.copied_python(), site.key, tmp_path)
    run = embedded.last_stored()["run"]
    answer, _, last_line = printed.strip().rpartition("\n")
    assert answer.strip()
    assert last_line == f"{run['prompt_tokens'] + run['completion_tokens']} tokens"
