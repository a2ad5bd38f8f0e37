"""Hugging Face's service of Inference Endpoints, and the Hub's answer to whose token it is, on a real socket."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.server import Connection, FakeServer, Request

TOKEN = "hf_of_the_tests"
NOW = "2026-01-05T10:00:00.000Z"


def described(name: str, state: str, url: str | None = None) -> dict[str, Any]:
    """Return an endpoint as the service describes it."""
    return {
        "name": name,
        "type": "protected",
        "healthRoute": "/health",
        "model": {"repository": f"org/{name}", "framework": "pytorch", "revision": "main", "task": "text-generation"},
        "compute": {"instanceType": "nvidia-l4", "instanceSize": "x1"},
        "status": {"state": state, "createdAt": NOW, "updatedAt": NOW, **({"url": url} if url else {})},
    }


@dataclass(eq=False)
class FakeInferenceEndpoints(FakeServer):
    """Knows a person ``ada`` with the organisation ``acme``, and one ``broke`` that may not have endpoints."""

    endpoints: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    status: int = 200
    body: bytes | None = None

    async def answer(self, request: Request, connection: Connection) -> None:
        """Answer one request as the route does."""
        is_known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        status, told = self._told(request.method, request.path) if is_known else (401, {"error": "Invalid token"})
        if self.status != 200:
            status = self.status
        body = json.dumps(told).encode() if self.body is None else self.body
        connection.respond(status, body, {"content-type": "application/json"})

    def _told(self, method: str, path: str) -> tuple[int, Any]:
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "ada", "orgs": [{"name": "broke"}, {"name": "acme"}]}
        _, _, _, namespace, *rest = path.split("/")
        if namespace not in self.endpoints:
            return 401, {"error": "No payment method"}
        if not rest:
            return 200, {"items": self.endpoints[namespace]}
        name, action = rest
        found = next((each for each in self.endpoints[namespace] if each["name"] == name), None)
        if found is None or method != "POST":
            return 404, {"error": "Not found"}
        found["status"]["state"] = {"pause": "paused", "resume": "initializing"}[action]
        return 200, found
