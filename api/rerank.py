"""``POST /v1/rerank``: how well each document answers a query, as Jina, Cohere and vLLM have it."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from accounts.caller import Caller
from api.embeddings import result_of
from api.exchange import ApiHandler
from inference.chat import Ranking, Reading, reading
from inference.chunks import Chunk, Usage
from web.chat import read_as

MAX_DOCUMENTS: Final = 1_000

Text = Annotated[str, Meta(min_length=1)]


class Document(Struct, frozen=True):
    """A document with its text inside; what else it has is its owner's."""

    text: Text


class RerankRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    query: Text
    documents: Annotated[list[Text | Document], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    user: str | None = None


class Asked(Struct, frozen=True):
    """A request, understood."""

    request: RerankRequest
    chat: Reading
    ignored: tuple[str, ...] = ()


def parse(body: bytes) -> Asked:
    """Read a request body. Raises InvalidRequest."""
    request = read_as(_decoder, body)
    texts = [each if isinstance(each, str) else each.text for each in request.documents]
    return Asked(request, reading(request.model, Ranking(request.query, texts), request.user))


_decoder = msgspec.json.Decoder(RerankRequest)


class RerankWriter:
    """Writes the ranking of one run, the best document first."""

    def __init__(self, run_id: str, asked: Asked) -> None:
        self._run_id = run_id
        self._asked = asked
        self._model = asked.request.model

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._model = model_id

    def whole(self, chunks: Sequence[Chunk], usage: Usage) -> bytes:
        """Write the whole answer."""
        request, task = self._asked.request, self._asked.chat.task
        assert isinstance(task, Ranking)
        scores = result_of(chunks, list[float])
        ranked = sorted(range(len(scores)), key=lambda place: (-scores[place], place))[: request.top_n]
        results = [
            {"index": place, "relevance_score": scores[place]}
            | ({"document": {"text": task.documents[place]}} if request.return_documents else {})
            for place in ranked
        ]
        counts = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
        head = {"id": f"rerank-{self._run_id}", "object": "list", "model": self._model}
        return msgspec.json.encode({**head, "results": results, "usage": counts})


class Rerank(ApiHandler):
    """Answers with documents in order."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send the ranking."""
        asked = parse(body)
        run = await self.run(caller, asked.chat, self.claim(caller, asked.chat))
        self.send_whole(run, asked, RerankWriter(run.id, asked))
