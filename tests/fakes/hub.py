"""The two routes of the Hugging Face Hub that ``add_model`` reads, on a real socket."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import Connection, FakeServer, Request


@dataclass(eq=False)
class FakeHub(FakeServer):
    """Knows one model."""

    repo_id: str = "org/model"
    model: dict[str, Any] = field(default_factory=dict)
    readme: bytes | None = None

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        path = request.path.partition("?")[0]
        if path == f"/api/models/{self.repo_id}":
            body = json.dumps({"id": self.repo_id, "modelId": self.repo_id} | self.model).encode()
            connection.respond(200, body, {"content-type": "application/json"})
        elif path == f"/{self.repo_id}/resolve/main/README.md" and self.readme is not None:
            headers = {"etag": '"0123456789abcdef"', "x-repo-commit": "0" * 40, "content-type": "text/plain"}
            connection.respond(200, self.readme, headers, with_body=request.method == "GET")
        else:
            error = {"x-error-code": "EntryNotFound" if "resolve" in path else "RepoNotFound"}
            connection.respond(404, b"", error)
