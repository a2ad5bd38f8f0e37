"""A conversation goes out as a file and comes back; settings are kept under a name."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import accessible
from tests.browser.chat import Chat
from tests.browser.chromium import WIDE, Watch
from tests.fakes.tgi import FakeTgi


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose something in a menu of the bar."""
    page.get_by_role("button", name=menu, exact=True).click()
    page.get_by_role("button", name=entry).click()


def test_a_conversation_goes_out_as_a_file_and_comes_back_with_all_versions(
    chat: Chat, tgi: FakeTgi, watch: Watch, tmp_path: Path
) -> None:
    page, file = chat.page, tmp_path / "foxes.json"
    chat.ask("Tell me of foxes")
    tgi.script.answer = ["Owls", " see."]
    chat.answer.get_by_role("button", name="Regenerate").click()
    expect(chat.text).to_have_text("Owls see.")
    chat.finish()
    exported = chat.id
    with page.expect_download() as download:
        choose(page, "Export or import", "Export as JSON")
    assert download.value.suggested_filename == "tell-me-of-foxes.json"
    download.value.save_as(file)
    with page.expect_file_chooser() as chooser:
        choose(page, "Export or import", "Import a conversation")
    chooser.value.set_files(file)
    page.wait_for_url(lambda address: "conversation=" in address and exported not in address)
    expect(chat.text).to_have_text("Owls see.")
    expect(chat.answer.get_by_label("Version 2 of 2")).to_be_visible()
    chat.composer.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").fill("import")
    file.write_text('{"messages": []}')
    with page.expect_file_chooser() as chooser:
        page.get_by_role("dialog").get_by_role("combobox").press("Enter")
    chooser.value.set_files(file)
    expect(page.get_by_text("This is not a conversation that was exported here.")).to_be_visible()
    watch.forgive("status of 400")


def test_settings_are_saved_under_a_name_and_older_ones_can_be_used(chat: Chat) -> None:
    page = chat.page
    prompt = page.get_by_label("System prompt")
    for version, words in ((1, "Be brief."), (2, "Be long.")):
        prompt.fill(words)
        choose(page, "Presets", "Save as a preset")
        page.get_by_label("Name", exact=True).fill("Fox")
        if version == 2:
            expect(page.get_by_text("It becomes version 2")).to_be_visible()
            accessible.check(page)
            # Where the window was narrow, the menu is elsewhere, and its dialog closed.
            page.set_viewport_size(WIDE)
            choose(page, "Presets", "Save as a preset")
            page.get_by_label("Name", exact=True).fill("Fox")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Presets", exact=True).click()
    page.get_by_label("Version of Fox").select_option("v1")
    page.get_by_role("button", name="Fox", exact=True).click()
    expect(prompt).to_have_value("Be brief.")
    expect(page.get_by_text("The settings are those of Fox, version 1.")).to_be_attached()
    choose(page, "Presets", "Remove preset Fox")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Presets", exact=True).click()
    expect(page.get_by_text(re.compile("Nobody saved a preset"))).to_be_visible()
