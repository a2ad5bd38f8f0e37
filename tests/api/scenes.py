"""What clients of the API say, and how they listen and leave."""

import json
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from accounts.models import Team
from credits.models import Account, Entry
from inference.models import Run
from tests.inference.scenes import HELLO, MODEL
from tests.patience import PATIENCE_SECONDS, until


def body(**fields: Any) -> dict[str, Any]:
    """Return a request that says hello, with more or other fields."""
    return {"model": MODEL, "messages": HELLO} | fields


def balance(team: Team) -> int:
    """Return the team's balance in nano-credits."""
    return Account.objects.get(team=team).balance_nano


def charges(team: Team) -> list[int]:
    """Return what the team was charged, in nano-credits, oldest first."""
    entries = Entry.objects.filter(account_id=team.pk, kind=Entry.Kind.CHARGE).order_by("sequence")
    return [-entry.amount_nano for entry in entries]


def the_run() -> Run:
    """Return the only run's row, as soon as it is written; its charge is the same as its cost."""
    until(Run.objects.exists)
    run = Run.objects.get()
    charged = Entry.objects.filter(kind=Entry.Kind.CHARGE, run=run.id)
    assert [-entry.amount_nano for entry in charged] == ([run.cost_nano] if run.cost_nano else [])
    assert run.started_at <= (run.first_token_at or run.started_at) <= run.ended_at
    assert run.delivered_tokens <= run.generated_tokens
    assert run.cost_nano <= run.held_nano
    return run


def events(text: str) -> list[Any]:
    """Return the decoded events of a stream, which must be well framed and end with ``[DONE]``."""
    *framed, rest = text.split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in framed)
    assert framed.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in framed]


def said(streamed: list[Any]) -> str:
    """Return the text of decoded events."""
    choices = [choice for event in streamed for choice in event.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


class Wire:
    """One connection that asks for a chat by hand and reads only what it wants to."""

    def __init__(
        self,
        url: str,
        key: str,
        content: dict[str, Any] | bytes,
        *,
        receive_bytes: int | None = None,
        segment_bytes: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if segment_bytes:
            # As on a network: with loopback's large segments, the sockets' own buffers take megabytes.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
        self.socket.connect((address.hostname, address.port))
        self.socket.settimeout(PATIENCE_SECONDS)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        )
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items()) + "\r\n"
        self.socket.sendall(head.encode() + content)
        self.received = b""

    def read_until(self, wanted: bytes, count: int = 1) -> None:
        """Read until so many of the wanted bytes came."""
        while self.received.count(wanted) < count:
            piece = self.socket.recv(1_048_576)
            assert piece, "the connection ended early"
            self.received += piece

    def read_words(self, count: int) -> None:
        """Read until so many tokens came."""
        self.read_until(b'"delta":{"content":', count)

    def is_cut(self) -> bool:
        """Read to the end; whether the connection was cut in the middle of the answer."""
        try:
            while piece := self.socket.recv(65_536):
                self.received += piece
        except ConnectionResetError:
            return True
        return not self.received.endswith(b"0\r\n\r\n")

    def drop(self) -> None:
        """Go away without a word."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


Connect = Callable[..., Wire]
