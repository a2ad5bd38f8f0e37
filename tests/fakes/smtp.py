"""A mail server on a loopback socket: it speaks as much SMTP as a client needs, and keeps what it accepted."""

import socketserver
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Letter:
    """What one client handed over in one go."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    @property
    def text(self) -> str:
        """The body."""
        text: str = self.message.get_content()
        return text


class FakeSmtp(socketserver.ThreadingTCPServer):
    """Takes letters; ``answers`` is cleared to have it read a letter and say nothing more."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Conversation)
        self.letters: list[Letter] = []
        self.refused: set[str] = set()
        self.deferred: set[str] = set()
        self.answers = threading.Event()
        self.answers.set()
        # Set once a letter was read whole, before it is answered.
        self.has_read = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="smtp")

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.answers.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    server: FakeSmtp
    timeout = 30

    def handle(self) -> None:
        """Greet, and answer until the client leaves."""
        self._sender, self._recipients = "", list[str]()
        try:
            self._say("220 fake")
            while line := self.rfile.readline().decode().strip():
                if not self._answer(line):
                    return
        except (ConnectionError, TimeoutError):
            # The client is gone, as a killed process is.
            return

    def _answer(self, line: str) -> bool:
        command, address = line[:4].upper(), line.partition("<")[2].partition(">")[0]
        if command == "MAIL":
            self._sender, self._recipients = address, []
        elif command == "RCPT" and address in self.server.refused:
            self._say("550 no such mailbox")
            return True
        elif command == "RCPT" and address in self.server.deferred:
            self._say("450 come back later")
            return True
        elif command == "RCPT":
            self._recipients.append(address)
        elif command == "DATA":
            self._read_letter()
            return True
        self._say("221 bye" if command == "QUIT" else "250 ok")
        return command != "QUIT"

    def _read_letter(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.server.letters.append(Letter(self._sender, self._recipients, message))
        self.server.has_read.set()
        self.server.answers.wait()
        self._say("250 taken")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
