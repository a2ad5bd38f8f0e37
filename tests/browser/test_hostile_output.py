"""What a model writes is text. It starts nothing, fetches nothing, and leads nowhere by itself."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from tests.browser.chat import Chat
from tests.browser.chromium import Watch
from tests.fakes.tgi import FakeTgi

ELSEWHERE = "https://pictures.example.org"
PIXEL = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "script after a line": "Text\n\n<script src='https://pictures.example.org/x.js'></script>",
    "event handler": "<img src=x onerror=alert(1)>",
    "svg": "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "frame": "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "style": "<style>@import url(//pictures.example.org/x)</style><b style='background:url(//pictures.example.org)'>",
    "form": "<form action=/logout method=post><button autofocus onfocus=alert(1)>x</button></form>",
    "javascript link": "[click](javascript:alert(1)) [click](JaVaScRiPt:alert(1)) [click](java\tscript:alert(1))",
    "encoded link": "[click](&#106;avascript:alert(1)) [click](javascript&colon;alert(1)) <javascript:alert(1)>",
    "data link": "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "own pages": "[click](/logout) ![x](/logout) [click](//pictures.example.org/) [click](vbscript:x)",
    "image": f"![x]({ELSEWHERE}/x.png?secret) ![x](http://pictures.example.org/y.png) ![x](data:image/svg+xml,<svg>)",
    "reference": f"![x][1] [click][2]\n\n[1]: {ELSEWHERE}/x.png\n[2]: javascript:alert(1)",
    "attribute": f'[click]({ELSEWHERE} "x\\" onmouseover=alert(1)") ![" onerror=alert(1) x="]({ELSEWHERE}/x.png)',
    "code": "```html\n</code></pre><img src=x onerror=alert(1)>\n```\n`<img src=x onerror=alert(1)>`",
    "table": "| <img src=x onerror=alert(1)> |\n|---|\n| [click](javascript:alert(1)) |\n| <svg onload=alert(1)> |",
    "fence": '```js onload=alert(1)"><script>alert(1)</script>\nlet x\n```',
    "right to left": "safe \u202ejs.exe\u202c \u2066x\u2069 \u200b end",
    "nothing but null": "a\u0000b \ufffe \ud7ff",
    "nesting": ">" * 300 + " deep\n\n" + "[" * 300 + "a",
}

# What the page itself asks for while it is used.
OWN_REQUESTS = {"/playground/conversations", "/playground/notices"}
ACTIVE = "script, style, iframe, object, embed, form, input, link, meta, base, math, svg:not(.icon), img"


# What is on the page because of the answer: its elements' names and attributes, and the links.
SURVEY = """answer => [...answer.querySelectorAll("*")].map(element => ({
  name: element.localName,
  attributes: Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])),
}))"""


def test_hostile_output_does_nothing(chat: Chat, tgi: FakeTgi, watch: Watch, subtests: pytest.Subtests) -> None:
    chat.page.wait_for_load_state("networkidle")
    asked = len(watch.requests)
    for name, output in HOSTILE.items():
        with subtests.test(name):
            # In small pieces: what is harmless as a whole must be so half-written too.
            tgi.script.answer = [output[start : start + 7] for start in range(0, len(output), 7)]
            chat.ask(name)
            expect(chat.text.locator(ACTIVE)).to_have_count(0)
            check_elements(chat.text.evaluate(SURVEY))
            for dead in chat.text.locator("span", has_text="click").all():
                dead.click()
            assert watch.report() == []
    paths = [urlsplit(address).path for address in watch.requests[asked:]]
    elsewhere = [path for path in paths if path not in OWN_REQUESTS and not path.startswith("/static/build/assets/")]
    assert elsewhere == []
    assert len(chat.page.context.pages) == 1


def check_elements(elements: list[dict[str, Any]]) -> None:
    for element in elements:
        attributes = element["attributes"]
        assert [name for name in attributes if name.startswith("on") or name in ("style", "src")] == []
        if element["name"] == "a":
            assert (attributes["rel"], attributes["target"]) == ("noopener noreferrer", "_blank")
            assert attributes["href"].startswith(ELSEWHERE)


def test_a_remote_picture_is_fetched_only_after_a_click(
    chat: Chat, context: BrowserContext, tgi: FakeTgi, watch: Watch
) -> None:
    sent: list[dict[str, str]] = []

    def serve(route: Route) -> None:
        sent.append(route.request.headers)
        route.fulfill(body=PIXEL, content_type="image/png")

    context.route(f"{ELSEWHERE}/**", serve)
    tgi.script.answer = [f"Look: ![A fox]({ELSEWHERE}/fox.png?to=me)"]
    chat.ask("Show me")
    button = chat.text.get_by_role("button", name="Load image from pictures.example.org")
    expect(button).to_be_visible()
    assert watch.foreign == []
    button.click()
    expect(chat.text.get_by_role("img", name="A fox")).to_be_visible()
    assert watch.foreign == [f"{ELSEWHERE}/fox.png?to=me"]
    assert not {"referer", "cookie"} & set(sent[0])
    watch.foreign.clear()


def test_what_a_person_types_and_names_is_text_too(chat: Chat, tgi: FakeTgi, watch: Watch) -> None:
    evil = "<img src=x onerror=alert(1)></script><script>alert(1)</script>"
    chat.page.get_by_label("System prompt").fill(evil)
    chat.ask(evil)
    chat.composer.fill(evil)
    chat.wait_until_kept(evil)
    # Title, question, draft and system prompt come back inside the page's own data.
    chat.page.reload()
    expect(chat.composer).to_have_value(evil)
    expect(chat.questions).to_have_text([evil])
    expect(chat.page.locator(".history-open").first).to_have_text(evil)
    assert watch.report() == []
