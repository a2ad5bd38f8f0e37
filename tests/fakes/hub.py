"""The routes of the Hugging Face Hub that ``add_model`` and ``pull_model`` read, on a real socket."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import Connection, FakeServer, Request


@dataclass(eq=False)
class FakeHub(FakeServer):
    """Knows one model."""

    repo_id: str = "org/model"
    model: dict[str, Any] = field(default_factory=dict)
    readme: bytes | None = None
    # By their names; kept in LFS, as large files are.
    files: dict[str, bytes] = field(default_factory=dict)
    # What to say that a file's hash is, where that is not true.
    told_sha256: str | None = None
    # Break off so many bytes into each of the next downloads; from then on, answer with a status.
    cuts: list[int] = field(default_factory=list)
    status_behind_cuts: int | None = None

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        path = request.path.partition("?")[0]
        if path == f"/api/models/{self.repo_id}":
            known = {"id": self.repo_id, "modelId": self.repo_id, "sha": "c" * 40, "siblings": self._siblings()}
            body = json.dumps(known | self.model).encode()
            connection.respond(200, body, {"content-type": "application/json"})
        elif path == f"/{self.repo_id}/resolve/main/README.md" and self.readme is not None:
            headers = {"etag": '"0123456789abcdef"', "x-repo-commit": "0" * 40, "content-type": "text/plain"}
            connection.respond(200, self.readme, headers, with_body=request.method == "GET")
        elif (name := path.removeprefix(f"/{self.repo_id}/resolve/{'c' * 40}/")) in self.files:
            self._send(self.files[name], request, connection)
        else:
            error = {"x-error-code": "EntryNotFound" if "resolve" in path else "RepoNotFound"}
            connection.respond(404, b"", error)

    def _siblings(self) -> list[dict[str, Any]]:
        return [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "b" * 40,
                "lfs": {
                    "sha256": self.told_sha256 or hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 130,
                },
            }
            for name, content in self.files.items()
        ]

    def _send(self, content: bytes, request: Request, connection: Connection) -> None:
        """Send a file from where it is asked for on."""
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        start = int(wanted[1]) if wanted else 0
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes"}
        if wanted:
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.cuts:
            connection.respond(206 if wanted else 200, content[start:], headers, with_body=False)
            connection.transport.write(content[start : start + self.cuts.pop(0)])
            connection.break_off()
        elif self.status_behind_cuts:
            connection.respond(self.status_behind_cuts, b"", {})
        else:
            connection.respond(206 if wanted else 200, content[start:], headers)
