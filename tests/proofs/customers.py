"""Who calls in the proofs, on what model, and the web processes that answer."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from accounts import keys
from accounts.models import Project, Team, User
from credits import ledger
from proofs.scratch import database_url
from tests.fakes.server import FakeServer
from tests.inference.scenes import register
from tests.site import Serve

SERVERS: Final = ("daphne", "uvicorn")


class Customer(NamedTuple):
    """A project that calls, and the secret of its key."""

    team: Team
    project: Project
    key_id: str
    secret: str


def customer(amount_nano: int) -> Customer:
    """Make a team with that much to spend, and a key of its default project."""
    owner, _ = User.objects.get_or_create(email="proof@example.org")
    team = Team.objects.create_with_owner(f"proof-{uuid4().hex[:12]}", owner)
    ledger.grant(team.pk, amount_nano, reason="a proof", actor="prove")
    return caller_in(team.projects.get(), owner)


def caller_in(project: Project, issuer: User) -> Customer:
    """Make another key, of any project."""
    key, secret = keys.create(name="proof", issuer=issuer, team=project.team, project=project)
    return Customer(project.team, project, key.pk, secret)


def model_on(engine: FakeServer) -> str:
    """Put a model that only this engine runs into the catalogue, and return its id."""
    model_id = f"proof/{uuid4().hex}"
    register(engine, model_id=model_id)
    return model_id


def web(folder: Path, server: str, **settings: str) -> Serve:
    """Return a web process on the database in use, not yet started, without an engine of its own."""
    ours = {"DATABASE_URL": database_url(), "EMBEDDED_ENGINE": "false", "ENGINE_NETWORKS": "127.0.0.0/8"}
    return Serve(folder, server, **ours, LOG_LEVEL="WARNING", DATABASE_POOL_SIZE="10", **settings)


@contextmanager
def web_processes(count: int, **settings: str) -> Iterator[list[str]]:
    """Run so many web processes, of both servers in turn, and give their addresses."""
    with ExitStack() as stack:
        processes = []
        for number in range(count):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-proof-")))
            process = web(folder, SERVERS[number % len(SERVERS)], **settings)
            # All start at once; each is waited for below.
            process.launch()
            stack.callback(process.kill)
            processes.append(process)
        yield [process.wait_until_ready().url for process in processes]
