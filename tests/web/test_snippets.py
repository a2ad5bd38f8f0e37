import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from frontend.build import find_npm
from playground.conversations.requests import example_request
from tests.fakes.server import Connection, FakeServer, Request
from web import snippets

PROJECT = "acme/inference"
HOSTILE = [
    "it's a 'quoted' \"text\" with \\ and \\n and `backticks`",
    "line\nbreak\r\nand\ttab\0nothing",
    "JSON\nJSON\n",
    "$HOME ${HOME} $(touch /tmp/pwned) !! %s {braces} {{double}}",
    "</script><script>alert(1)</script><!-- -->",
    '"""\nimport os\n"""',
    "한국어 ñ 🦊 \u2028 \u2029 \u202e evil \x1b[2J \x9b \ufeff",
    "`${process.exit()}`",
]


class Capture(FakeServer):
    """Takes any request and streams a tiny answer."""

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer as an OpenAI-compatible server does."""
        delta = {"choices": [{"index": 0, "delta": {"content": "ok"}}], "usage": None}
        usage = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        connection.begin({"content-type": "text/event-stream"})
        for event in (delta, usage):
            connection.send(b"data: " + json.dumps(event).encode() + b"\n\n")
        connection.send(b"data: [DONE]\n\n")
        connection.end()


@pytest.fixture
def capture(settings: Settings) -> Iterator[Capture]:
    with Capture() as server:
        settings.PUBLIC_URL = server.url
        yield server


def hostile_body() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"__proto__": {"const": None}, "it's": {"enum": HOSTILE}, "a-b": True}}
    return {
        "model": "fable/fox-1b",
        "messages": [{"role": "user", "content": text} for text in HOSTILE],
        "max_tokens": 5,
        "temperature": 0.7,
        "seed": 0,
        "stop": HOSTILE[:4],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def run(command: list[str], **more: Any) -> Any:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", snippets.KEY_VARIABLE: "parley_secret"}
    return subprocess.check_output(command, env=environment, timeout=120, text=True, **more)


def check(capture: Capture, body: dict[str, Any]) -> None:
    (request,) = capture.requests
    assert request.path == "/v1/chat/completions"
    assert request.json == body
    assert request.headers["authorization"] == "Bearer parley_secret"
    assert request.headers["openai-project"] == PROJECT


def test_the_python_code_sends_exactly_the_request(capture: Capture) -> None:
    output = run([sys.executable, "-"], input=snippets.python(hostile_body(), PROJECT))
    check(capture, hostile_body())
    assert output == "ok\n\n2 tokens\n"


def test_the_shell_command_sends_exactly_the_request(capture: Capture, tmp_path: Path) -> None:
    run(["sh", "-"], input=snippets.curl(hostile_body(), PROJECT) + "\ntouch ended\n", cwd=tmp_path)
    check(capture, hostile_body())
    assert [path.name for path in tmp_path.iterdir()] == ["ended"]


def test_a_body_longer_than_a_command_line_can_be_still_goes_out(capture: Capture) -> None:
    body = example_request("fable/fox-1b")
    body["messages"][0]["content"] = "word " * 100_000
    run(["sh", "-"], input=snippets.curl(body, PROJECT))
    check(capture, body)


def test_the_javascript_code_gives_the_package_exactly_the_request(tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "openai"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (package / "index.js").write_text(
        """
        export default class OpenAI {
          constructor(options) {
            const create = async (body) => {
              console.log(JSON.stringify({ options, body }));
              return (async function* () {})();
            };
            this.chat = { completions: { create } };
          }
        }
        """
    )
    (tmp_path / "request.mjs").write_text(snippets.javascript(hostile_body(), PROJECT))
    _, node_folder = find_npm()
    said = json.loads(run([str(node_folder / "node"), str(tmp_path / "request.mjs")]))
    assert said["body"] == hostile_body()
    assert said["options"] == {"baseURL": snippets.base_url(), "apiKey": "parley_secret", "project": PROJECT}


def test_no_code_ends_a_script_element_or_hides_a_character() -> None:
    shown = snippets.snippets(hostile_body(), PROJECT)
    assert "</script" not in shown["javascript"]
    assert "<!--" not in shown["javascript"]
    for text in shown.values():
        assert all(character.isprintable() or character == "\n" for character in text)


def test_a_project_and_an_address_are_quoted_too(settings: Settings, tmp_path: Path) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:1/'$(touch pwned)"
    for text in snippets.snippets(example_request("m"), "a'b/$(touch pwned)").values():
        assert "PARLEY_API_KEY" in text
    compile(snippets.python(example_request("m"), "a'b\"\n"), "code", "exec")
    command = snippets.curl(example_request("m"), "a'b/$(touch pwned)").replace("curl", "true", 1)
    run(["sh", "-"], input=command, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
