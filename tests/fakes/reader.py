"""An engine that reads: it makes vectors of texts, and ranks documents by the words that they share with a query."""

import base64
from array import array
from dataclasses import dataclass
from typing import Any

from tests.fakes.openai_server import JSON, FakeOpenAI
from tests.fakes.server import Connection, Request
from tests.fakes.tgi_events import dumps
from tests.fakes.tgi_validation import tokens_of


@dataclass(eq=False)
class FakeReader(FakeOpenAI):
    """A vLLM that serves a model for embeddings and ranking; a text's vector is its length and its number."""

    # Whether it tells how many tokens it read, and whether it knows base64.
    tells_usage: bool = True
    knows_base64: bool = True

    def other(self, request: Request, connection: Connection) -> None:
        """Answer the smaller routes."""
        if request.path == "/v1/embeddings":
            connection.respond(200, dumps(self._embedded(request.json)), JSON)
        elif request.path == "/v1/rerank":
            connection.respond(200, dumps(self._ranked(request.json)), JSON)
        else:
            super().other(request, connection)

    def _embedded(self, asked: dict[str, Any]) -> dict[str, Any]:
        is_text = asked.get("encoding_format") == "base64" and self.knows_base64
        data: list[dict[str, Any]] = []
        for place, text in enumerate(asked["input"]):
            vector: Any = [float(len(text)), float(place)][: asked.get("dimensions") or 2]
            if is_text:
                vector = base64.b64encode(array("f", vector)).decode()
            data.insert(0, {"object": "embedding", "index": place, "embedding": vector})
        return {"object": "list", "data": data, "model": self.model} | self._usage(asked["input"])

    def _ranked(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted, read = set(asked["query"].split()), []
        results: list[dict[str, Any]] = []
        for place, document in enumerate(asked["documents"]):
            read += [asked["query"], document]
            score = len(wanted & set(document.split())) / len(wanted)
            results.append({"index": place, "document": {"text": document}, "relevance_score": score})
        results.sort(key=lambda result: -result["relevance_score"])
        return {"id": "rerank-1", "model": self.model, "results": results} | self._usage(read)

    def _usage(self, texts: list[Any]) -> dict[str, Any]:
        if not self.tells_usage:
            return {}
        tokens = sum(len(tokens_of(text)) if isinstance(text, str) else len(text) for text in texts)
        return {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
