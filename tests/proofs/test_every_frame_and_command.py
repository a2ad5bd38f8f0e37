"""Every frame of a socket and every command is found, classified here and tried.

What has an engine generate is metered. And two doors alone lead to the spine, and the spine alone to an engine.
"""

import ast
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from asgiref.sync import sync_to_async
from channels.security.websocket import WebsocketDenier
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.models import Project, Team, User
from playground.conversations.forms import Answer, Attach, Regenerate, Send, Stop, Watch, read_frame
from playground.models import Conversation
from playground.remote_runs.redis_channel import AnswerMessage, QuestionMessage
from playground.socket.consumer import PlaygroundConsumer
from tests.inference.scenes import MODEL
from tests.playground.tab import Tab, tab
from tests.proofs.entry_points import ROOMS, commands, frames, socket_ways
from tests.proofs.recording_engine import RecordingEngine, check_metered

pytestmark = pytest.mark.django_db(transaction=True)

ROOT: Final = Path(__file__).resolve().parents[2]

METERED_FRAMES: Final = {Send, Regenerate, Answer}
SILENT_FRAMES: Final = {Stop, Attach, Watch}
# What the site's processes write to each other: no socket reads them.
LETTERS: Final = {QuestionMessage, AnswerMessage}


def test_every_frame_of_every_socket_is_classified() -> None:
    socket, nowhere = socket_ways()
    assert socket.callback.consumer_class is PlaygroundConsumer
    assert nowhere.callback.consumer_class is WebsocketDenier
    found = set(frames(PlaygroundConsumer).values()) - LETTERS
    assert found == METERED_FRAMES | SILENT_FRAMES, "classify what is new in this file"
    assert set(get_args(read_frame.type)) == found
    assert not METERED_FRAMES & SILENT_FRAMES


def test_every_command_is_classified() -> None:
    assert commands() == set(COMMANDS) | set(NOT_TRIED), "say in this file how to try what is new"


async def test_every_frame_that_has_an_engine_generate_is_metered(
    engine: RecordingEngine, operator: User, team: Team, project: Project
) -> None:
    generating = set()
    conversation = await Conversation.objects.acreate(user=operator, project=project, model=MODEL)
    async with tab(operator) as chat:
        run, answer = "0" * 32, ""
        for kind in (Send, Regenerate, Answer, Attach, Stop, Watch):
            before = len(engine.generations)
            await chat.say(type=kind.__struct_config__.tag, **_frame(kind, conversation, run, answer, project))
            run, answer = await _outcome(kind, chat, run, answer)
            if len(engine.generations) > before:
                generating.add(kind)
    assert generating == METERED_FRAMES
    await sync_to_async(check_metered)(engine, team)


def _frame(kind: Any, conversation: Conversation, run: str, answer: str, project: Project) -> dict[str, Any]:
    """Return what a frame of the kind says; the later ones are about the run and the answer of the first."""
    talk = {"ref": "1", "conversation": str(conversation.pk)}
    said: dict[Any, dict[str, Any]] = {
        Send: talk | {"content": "Hello"},
        Regenerate: talk | {"message": answer},
        Answer: talk,
        Stop: {"run": run},
        Attach: {"run": run},
        Watch: {"project": str(project)},
    }
    return said[kind]


async def _outcome(kind: Any, chat: Tab, run: str, answer: str) -> tuple[str, str]:
    """Wait for what comes of a frame; return the run and the answer that the next may be about."""
    if kind in METERED_FRAMES:
        started = await chat.hear("started")
        ended = await chat.hear("ended")
        return started["run"], ended["message"]["id"]
    if kind is Attach:
        await chat.hear("ended")
    if kind is Watch:
        await chat.hear("balance")
    return run, answer


COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "add_model": ("org/other", "--endpoint={engine}", "--kind=tgi", "--price-in=0.2", "--price-out=0.2"),
    "set_alias": ("either", "org/other"),
    "bootstrap": (),
    "create_team": ("other", "--owner=owner@example.org"),
    "create_project": ("acme/other",),
    "create_key": ("acme/inference", "--name=other"),
    "revoke_key": ("{key}",),
    "grant_credits": ("acme", "1", "--reason=tests"),
    "set_budget": ("acme", "1"),
    "turn_second_factor_off": ("owner@example.org",),
    "verify_ledger": (),
    "export_ledger": ("acme",),
}
NOT_TRIED: Final = {
    "migrate": "it makes the tables",
    "pull_model": "it downloads a file, and may name it in the catalogue",
    "serve": "it serves the addresses above",
    "prove": "it works in a scratch database, whose catalogue is empty",
}


def test_no_command_has_an_engine_generate(
    engine: RecordingEngine, operator: User, project: Project, settings: Settings, tmp_path: Path
) -> None:
    settings.HF_HUB_OFFLINE, settings.DATA_DIR = True, tmp_path
    key, _ = keys.create(name="tests", issuer=operator, team=project.team, project=project)
    for command, arguments in COMMANDS.items():
        call_command(command, *(argument.format(engine=engine.url, key=key.pk) for argument in arguments))
    # The engine was asked, about itself.
    assert engine.requests
    assert engine.generations == []


def test_only_the_spine_has_an_engine_generate_and_only_two_doors_lead_to_it() -> None:
    generating, starting = set(), set()
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.walk(ast.parse(path.read_text()))
        if not name.startswith("inference/engines/"):
            for node in tree:
                if isinstance(node, ast.Attribute) and node.attr == "decoder":
                    generating.add(name)
                if _starts(node):
                    starting.add(name)
    # Whoever reads what an engine generates has its decoder.
    assert generating == {"inference/routing/attempt.py"}
    assert starting == {"api/exchange.py", "playground/conversations/answers.py"}


def _starts(node: ast.AST) -> bool:
    """Whether it takes ``start`` from the spine, by import or by attribute."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "inference.runs.spine" and any(name.name in ("start", "*") for name in node.names)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return (node.value.id, node.attr) == ("spine", "start")
    return False
