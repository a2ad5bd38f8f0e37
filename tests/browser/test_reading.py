"""What a person reads is what was written: formulas, other scripts, on paper, in colours of one's own."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.chat import Chat
from tests.browser.chromium import Watch
from tests.fakes.tgi import FakeTgi

FORMULAS = (
    "So \\( a_1 * b_1 * c \\) and\n\n$$\n\\frac{a}{b} = \\int_0^1 x\\,dx\n$$\n\nand \\( \\broken{ \\) for $5 or $10."
)


def styles(page: Page, selector: str, *names: str) -> list[str]:
    found: list[str] = page.locator(selector).first.evaluate(
        "(element, names) => names.map(name => getComputedStyle(element)[name])", list(names)
    )
    return found


def test_formulas_are_drawn_by_our_own_files_and_only_then_fetched(chat: Chat, tgi: FakeTgi, watch: Watch) -> None:
    tgi.script.answer = ["No formula, $5 at most."]
    chat.ask("Hello")
    assert not any("katex" in address for address in watch.requests)
    tgi.script.answer = [FORMULAS[start : start + 3] for start in range(0, len(FORMULAS), 3)]
    chat.ask("Some mathematics")
    expect(chat.text.locator(".katex")).to_have_count(2)
    expect(chat.text.locator(".katex-display")).to_have_count(1)
    # For screen readers, each is there as MathML.
    expect(chat.text.locator("math")).to_have_count(2)
    expect(chat.text).to_contain_text("\\( \\broken{ \\) for $5 or $10.")
    chat.page.evaluate("document.fonts.ready")
    fonts = [address for address in watch.requests if "KaTeX" in address]
    assert fonts
    assert {address.rpartition(".")[2] for address in fonts} == {"woff2"}
    # Nothing was refused by the page's policy: the fixture looks at the console in the end.
    assert watch.foreign == []


def test_what_is_read_from_the_right_stands_at_the_right(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.answer = ["مرحبا بالعالم. نص (عربي) 123!\n\nAnd English.\n\n- نص"]
    chat.ask("مرحبا")
    assert styles(chat.page, ".message-assistant .prose p", "direction") == ["rtl"]
    assert styles(chat.page, ".message-assistant .prose p:nth-of-type(2)", "direction") == ["ltr"]
    assert styles(chat.page, ".message-assistant .prose ul", "direction") == ["rtl"]
    assert styles(chat.page, ".bubble", "direction") == ["rtl"]
    chat.composer.fill("مرحبا")
    assert styles(chat.page, "#composer", "direction") == ["rtl"]


def test_paper_gets_the_whole_conversation_and_nothing_to_press(chat: Chat, tgi: FakeTgi) -> None:
    tgi.script.answer = [f"Line {number}\n\n" for number in range(120)]
    chat.ask("Write much")
    page = chat.page
    page.emulate_media(media="print", color_scheme="dark")
    for line in ("Line 0", "Line 119"):
        box = page.get_by_text(line, exact=True).bounding_box()
        assert box
        assert box["height"] > 0
    whole: Any = page.evaluate("document.documentElement.scrollHeight")
    last = page.get_by_text("Line 119", exact=True).bounding_box()
    assert last
    assert last["y"] + last["height"] <= whole
    for part in (".composer", ".panel", ".chat-bar", ".site-header", ".message-actions"):
        expect(page.locator(part).first).to_be_hidden()
    assert styles(page, "body", "color") == ["rgb(23, 32, 28)"]


def test_ones_own_colours_still_show_what_is_open_and_what_is_up(chat: Chat) -> None:
    chat.ask("Hello")
    chat.page.emulate_media(forced_colors="active")
    assert styles(chat.page, ".history-item.is-open", "outlineStyle") == ["solid"]
    assert styles(chat.page, ".icon-button[aria-pressed=true]", "outlineStyle") == ["solid"]
    up = chat.page.evaluate(
        "getComputedStyle(document.querySelector('.model-button .health'), '::before').backgroundColor"
    )
    assert up != "rgba(0, 0, 0, 0)"


def test_a_menu_closes_when_the_focus_leaves_it(chat: Chat) -> None:
    page = chat.page
    page.locator(".model-button").click()
    expect(page.get_by_role("listbox", name="Choose a model")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("listbox", name="Choose a model")).to_have_count(0)
    page.locator(".menu > summary").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.locator(".menu > summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".menu > summary")).to_be_focused()


def test_a_model_that_is_not_here_is_said_to_be_so_and_no_other_is_taken(chat: Chat) -> None:
    page = chat.page
    page.goto("/playground?model=no/such-model&project=demo/inference")
    expect(chat.banner).to_contain_text("There is no model no/such-model here")
    chat.composer.fill("Hello")
    chat.composer.press("Enter")
    expect(chat.answers).to_have_count(0)
    expect(chat.composer).to_have_value("Hello")
    page.locator(".model-button").click()
    page.get_by_role("option").first.click()
    expect(chat.banner).not_to_contain_text("There is no model")


def test_half_an_emoji_is_sent_as_what_every_server_can_read(chat: Chat, tgi: FakeTgi) -> None:
    chat.page.evaluate(
        """() => { const box = document.querySelector("#composer"); box.value = "Half \\ud83d";
        box.dispatchEvent(new InputEvent("input", { bubbles: true })) }"""
    )
    chat.composer.press("Enter")
    chat.finish()
    assert chat.stored()["messages"][0]["content"] == "Half \ufffd"


def test_the_history_goes_on_and_finds_words(chat: Chat, tgi: FakeTgi) -> None:
    page = chat.page
    tgi.script.answer = ["The needle is in here, between other words."]
    chat.ask("A haystack")
    search = page.get_by_role("searchbox", name="Search conversations")
    search.fill("needle between")
    found = page.locator(".history-open")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("The needle is in here")
    search.fill("nothing has these words")
    expect(page.get_by_text("Nothing was found")).to_be_visible()
    search.fill("")
    expect(found.first).to_have_text("A haystack")
