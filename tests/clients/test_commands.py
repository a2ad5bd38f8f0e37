"""Coding agents as their commands: each edits a file, told by the engine what to do."""

import json
from pathlib import Path

import pytest

from inference.models import Run
from tests.clients import environments
from tests.fakes.agent import FakeAgent
from tests.inference.scenes import MODEL
from tests.server import Server

# Clients of this size take their time to begin.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600), pytest.mark.slow_client]


def call(name: str, **arguments: object) -> str:
    """Return the line that has the engine call a tool."""
    return "CALL " + json.dumps({"name": name, "arguments": arguments})


def written(folder: Path) -> str:
    """Return what an agent wrote; empty if it wrote nothing."""
    note = folder / "note.txt"
    return note.read_text() if note.exists() else ""


@pytest.fixture
def folder(tmp_path: Path, agent: FakeAgent) -> Path:
    """A folder to work in; what the agents say of themselves takes more room than most models have here."""
    agent.context_tokens = 100_000
    return tmp_path


def test_codex(site: Server, api_key: str, folder: Path, funded: object) -> None:
    home = folder / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(
        f"""
model = "{MODEL}"
model_provider = "parley"
[model_providers.parley]
name = "Parley"
base_url = "{site.url}/v1"
env_key = "PARLEY_KEY"
wire_api = "responses"
"""
    )
    command = str(environments.node() / "node_modules" / ".bin" / "codex")
    asked = "Write it.\n" + call("exec_command", cmd="echo written > note.txt")
    options = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    said = environments.output_of([command, *options, asked], {"PARLEY_KEY": api_key, "CODEX_HOME": str(home)}, folder)
    assert written(folder) == "written\n", said
    assert "The tool gave" in said
    assert Run.objects.filter(cost_nano__gt=0).count() == 2


def test_claude_code(site: Server, api_key: str, folder: Path, funded: object) -> None:
    command = str(environments.node() / "node_modules" / ".bin" / "claude")
    path = str(folder / "note.txt")
    asked = "Write it.\n" + call("Write", file_path=path, content="written\n")
    given = {
        "ANTHROPIC_BASE_URL": site.url,
        "ANTHROPIC_API_KEY": api_key,
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_SMALL_FAST_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
    }
    options = ["--print", "--dangerously-skip-permissions", "--output-format", "json"]
    said = environments.output_of([command, *options, asked], given, folder)
    assert written(folder) == "written\n", said
    assert "The tool gave" in said


def test_opencode(site: Server, api_key: str, folder: Path, funded: object) -> None:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{site.url}/v1", "apiKey": api_key},
        "models": {MODEL: {"name": "Fox", "limit": {"context": 100_000, "output": 4_000}}},
    }
    config = {"provider": {"parley": provider}, "model": f"parley/{MODEL}", "autoupdate": False, "share": "disabled"}
    (folder / "opencode.json").write_text(json.dumps(config))
    command = str(environments.node() / "node_modules" / ".bin" / "opencode")
    asked = "Write it.\n" + call("write", filePath=str(folder / "note.txt"), content="written\n")
    given = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    said = environments.output_of([command, "run"], given, folder, said=asked)
    assert written(folder) == "written\n", said


def test_aider(site: Server, api_key: str, folder: Path, agent: FakeAgent, funded: object) -> None:
    (folder / "note.txt").write_text("empty\n")
    command = str(environments.python("aider").parent / "aider")
    edit = "SAY " + json.dumps("note.txt\n```\nwritten\n```\n")
    options = ["--model", f"openai/{MODEL}", "--edit-format", "whole", "--yes-always", "--no-git", "--no-stream"]
    quiet = ["--no-check-update", "--analytics-disable", "--no-show-model-warnings", "--no-pretty"]
    given = {"OPENAI_API_BASE": f"{site.url}/v1", "OPENAI_API_KEY": api_key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    said = environments.output_of([command, *options, *quiet, "--message", edit, "note.txt"], given, folder)
    assert written(folder) == "written\n", said
