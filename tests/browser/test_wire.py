"""What the engine sees of a person at the playground, and what the person sees when the engine fails."""

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from playwright.sync_api import BrowserContext, expect

from tests.browser import program
from tests.browser.chat import Chat
from tests.browser.chromium import Watch
from tests.browser.stage import EMPTY_TEAM, FAKE_MODEL, GRACE_SECONDS, asked, charged_nano, cost_of, long_script, words
from tests.fakes.script import Script
from tests.fakes.tgi import FakeTgi
from tests.inference.scenes import cost_nano
from tests.patience import until, within
from tests.site import Site

# Samples an answer's text at each frame that the screen draws.
SAMPLE = """() => {
  window.samples = [];
  const look = () => {
    const text = document.querySelector("article.message-assistant:last-of-type .prose")?.textContent.trim();
    if (text && samples.at(-1) !== text) samples.push(text);
    requestAnimationFrame(look);
  };
  look();
}"""


def test_the_copied_python_sends_the_very_same_body(chat: Chat, tgi: FakeTgi, site: Site, tmp_path: Path) -> None:
    page = chat.page
    page.get_by_label("System prompt").fill('It\'s "brief"\n\\ and ${HOME} 한국어')
    for name, value in (("Temperature", 0.3), ("Top P", 0.9), ("Maximum tokens", 5), ("Frequency penalty", 0.5)):
        chat.set(name, value)
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Stop sequences").fill("###\n<end>")
    chat.ask("One `x` <b>$HOME</b> \"\"\" '''")
    chat.ask("Two\n\nlines\t\u202eend")
    printed = program.run(chat.copied_python(), site.key, tmp_path)
    _, from_browser, from_program = asked(tgi)
    assert from_program.body == from_browser.body
    assert [message["role"] for message in from_browser.json["messages"]] == ["system", "user", "assistant", "user"]
    assert printed.startswith(chat.last_stored()["content"])


def test_out_of_credits_keeps_the_draft_and_says_who_can_help(chat: Chat, tgi: FakeTgi) -> None:
    chat.open(FAKE_MODEL, f"{EMPTY_TEAM}/inference")
    chat.composer.fill("A long and dear thought")
    chat.composer.press("Enter")
    expect(chat.banner).to_contain_text("out of credits")
    expect(chat.composer).to_have_value("A long and dear thought")
    expect(chat.answers).to_have_count(0)
    chat.page.reload()
    expect(chat.composer).to_have_value("A long and dear thought")
    expect(chat.banner).to_contain_text("An operator of this site grants credits")
    chat.banner.get_by_role("link", name="See balance and budgets").click()
    expect(chat.page.get_by_role("heading", name=EMPTY_TEAM)).to_be_visible()
    assert asked(tgi) == []


def test_a_budget_that_refuses_is_named_beside_the_draft(chat: Chat, site: Site, tgi: FakeTgi) -> None:
    site.manage("set_budget", site.project, "0.000000001", "--period", "total")
    try:
        chat.composer.fill("Too dear for a budget")
        chat.composer.press("Enter")
        expect(chat.banner).to_contain_text("What is left of the total budget of this project is not enough")
        expect(chat.banner).to_contain_text("You can raise it")
        expect(chat.banner).not_to_contain_text("out of credits")
        expect(chat.composer).to_have_value("Too dear for a budget")
        assert asked(tgi) == []
    finally:
        site.manage("set_budget", site.project, "none", "--period", "total")


def test_an_answer_that_a_budget_ends_says_so_once(chat: Chat, site: Site, tgi: FakeTgi) -> None:
    tgi.script.answer = words(300)
    paid = cost_nano(50, [{"role": "user", "content": "Hello"}])
    site.manage("create_project", "demo/short")
    site.manage("set_budget", "demo/short", f"{paid / 1e9:.9f}", "--period", "total")
    chat.open(FAKE_MODEL, "demo/short")
    chat.ask("Hello")
    said = "What is left of the total budget of this project is not enough. You can raise it."
    expect(chat.answer.locator(".notice")).to_contain_text(f"The answer ends here. {said}")
    expect(chat.page.locator("p.notice", has_text="What is left")).to_have_count(1)
    expect(chat.page.locator(".error-card")).to_have_count(0)
    for fact in ("50 out", "credits ran out"):
        chat.fact(fact)
    chat.composer.fill("And now?")
    chat.composer.press("Enter")
    expect(chat.banner).to_have_text("Not sent, for the same reason. Your draft is kept.")
    # The budget is used up: the site's warning comes by itself, and the balance does not look as if all were well.
    expect(chat.page.locator("[data-notice]", has_text="demo/short")).to_contain_text("is used up")
    expect(chat.page.get_by_title("New requests are refused")).to_be_visible()


def test_a_failing_engine_is_told_plainly_and_another_try_works(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.fail_after = 3
    chat.ask("Will you fail?")
    expect(chat.error).to_contain_text("This answer failed")
    expect(chat.error).to_contain_text("was charged for what arrived")
    assert "CUDA" not in chat.error.inner_text()
    expect(chat.error).to_contain_text(re.compile(r"req_[0-9a-f]{32}"))
    chat.wait_for_text("The quick brown")
    for fact in (r"\d+ in, 3 out", r"\$0\.\d+", "to first token", "engine failed"):
        chat.fact(fact)
    tgi.script.fail_after = None
    chat.error.get_by_role("button", name="Retry").click()
    chat.finish()
    expect(chat.page.locator(".error-card")).to_have_count(0)
    expect(chat.text).to_have_text("The quick brown fox jumps over the lazy dog.")


def test_an_engine_that_is_gone_is_told_plainly_and_nothing_is_charged(chat: Chat, tgi: FakeTgi, site: Site) -> None:
    tgi.script.break_after = 0
    chat.ask("Are you there?")
    expect(chat.error).to_contain_text("Nothing was charged")
    expect(chat.error.get_by_role("button", name="Retry")).to_be_visible()
    assert charged_nano(site, chat.last_stored()["run"]["run"]) == 0


def test_the_place_in_the_queue_is_shown(chat: Chat, tgi: FakeTgi, site: Site) -> None:
    tgi.script = Script(endless=True, between=0.02)
    first: Any = {"model": FAKE_MODEL, "messages": [{"role": "user", "content": "First"}], "stream": True}
    with (
        OpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0) as client,
        client.chat.completions.create(**first) as stream,
    ):
        next(iter(stream))
        tgi.script = Script()
        chat.send("After you")
        expect(chat.answer).to_contain_text("In the queue, place 1")
    chat.finish()
    expect(chat.text).to_have_text("The quick brown fox jumps over the lazy dog.")


def test_stop_closes_upstream_within_a_second_and_charges_what_was_delivered(
    chat: Chat, tgi: FakeTgi, site: Site
) -> None:
    tgi.script = long_script()
    before = chat.page.request.get("/playground/balance", params={"project": site.project}).json()
    chat.send("Go on for ever")
    # Within the first moment the button would take a press for the second half of a double click.
    chat.wait_for_text("w30 ")
    chat.page.get_by_role("button", name="Stop", exact=True).click()
    within(1, lambda: asked(tgi)[0].closed_at)
    chat.finish()
    expect(chat.answer).to_contain_text("Stopped")
    message = chat.last_stored()
    delivered = message["run"]["completion_tokens"]
    assert message["content"] == "".join(words(delivered))
    cost = cost_of(asked(tgi)[0], delivered)
    assert charged_nano(site, message["run"]["run"]) == cost > 0
    chat.fact(f"{delivered} out")
    until(lambda: int(before["balance_nano"]) - chat.balance_nano() == cost)


def test_closing_the_tab_closes_upstream_when_the_grace_is_over(
    chat: Chat, context: BrowserContext, tgi: FakeTgi, site: Site
) -> None:
    tgi.script = long_script()
    chat.send("Go on for ever")
    chat.wait_for_text()
    conversation, run = chat.id, chat.stored()["running"]
    closed = time.monotonic()
    chat.page.close()
    within(GRACE_SECONDS + 1, lambda: asked(tgi)[0].closed_at)
    request = asked(tgi)[0]
    assert (request.closed_at or 0) - closed > GRACE_SECONDS - 0.5
    until(lambda: charged_nano(site, run))
    kept = context.request.get(f"/playground/conversations/{conversation}").json()["messages"][-1]
    delivered = kept["run"]["completion_tokens"]
    assert kept["content"] == "".join(words(delivered))
    assert charged_nano(site, run) == cost_of(request, delivered)
    assert delivered <= request.tokens_sent


def test_a_reload_shows_no_gap_and_no_double_at_any_moment(chat: Chat, tgi: FakeTgi) -> None:
    let_go = threading.Event()
    tgi.script = Script(answer=words(120), between=0.02, silent_after=30, let_go=let_go)
    whole = "".join(words(120))
    chat.send("Count")
    chat.wait_for_text("w20 ")
    chat.page.add_init_script(f"addEventListener('DOMContentLoaded', {SAMPLE})")
    chat.page.reload()
    chat.wait_for_text("w20 ")
    let_go.set()
    chat.finish()
    samples = chat.page.evaluate("samples")
    assert len(samples) > 2
    assert all(whole.startswith(sample) for sample in samples)
    assert samples[-1] == whole == chat.last_stored()["content"]
    assert len(asked(tgi)) == 1


def test_a_lost_connection_comes_back_and_the_answer_goes_on(
    chat: Chat, context: BrowserContext, tgi: FakeTgi, watch: Watch
) -> None:
    let_go = threading.Event()
    tgi.script = Script(answer=words(150), between=0.02, silent_after=30, let_go=let_go)
    chat.send("Count")
    chat.wait_for_text("w10 ")
    chat.page.evaluate(SAMPLE)
    devtools = context.new_cdp_session(chat.page)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", {"offline": True, **network})
    expect(chat.banner).to_contain_text(re.compile("offline|Reconnecting"))
    let_go.set()
    devtools.send("Network.emulateNetworkConditions", {"offline": False, **network})
    chat.finish()
    whole = "".join(words(150))
    expect(chat.text).to_have_text(whole)
    assert all(whole.startswith(sample) for sample in chat.page.evaluate("samples"))
    assert len(asked(tgi)) == 1
    watch.forgive("ERR_INTERNET_DISCONNECTED")


@pytest.mark.parametrize("way", ["edit", "regenerate"])
def test_an_answer_is_asked_for_again(chat: Chat, tgi: FakeTgi, way: str) -> None:
    tgi.script.answer = ["First answer"]
    chat.ask("Question")
    tgi.script.answer = ["Second answer"]
    if way == "edit":
        chat.composer.press("ArrowUp")
        box = chat.page.get_by_role("textbox", name="Edit")
        box.fill("Better question")
        box.press("Enter")
        expect(chat.questions).to_have_text(["Better question"])
        expect(chat.page.locator(".history-open").first).to_have_text("Better question")
    else:
        chat.answer.get_by_role("button", name="Regenerate").click()
    expect(chat.text).to_have_text("Second answer")
    chat.finish()
    assert [message["content"] for message in chat.stored()["messages"]][1:] == ["Second answer"]
    assert len(asked(tgi)[-1].json["messages"]) == 1
