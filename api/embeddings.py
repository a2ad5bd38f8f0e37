"""``POST /v1/embeddings``: one vector for each text, as OpenAI answers."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from accounts.caller import Caller
from api.exchange import ApiHandler
from inference.chat import Embedding, Reading, Token, reading
from inference.chunks import Chunk, Usage
from inference.errors import InvalidRequest
from web.chat import read_as

# OpenAI's own bound.
MAX_INPUTS: Final = 2_048


class EmbeddingsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send: a text, or several; a text may also be a list of the model's own tokens."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: str | list[str | Token | list[Token]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
    user: str | None = None


class Asked(Struct, frozen=True):
    """A request, understood."""

    chat: Reading
    ignored: tuple[str, ...] = ()


def parse(body: bytes) -> Asked:
    """Read a request body. Raises InvalidRequest."""
    request = read_as(_decoder, body)
    task = Embedding(_inputs(request.input), request.encoding_format or "float", request.dimensions)
    return Asked(reading(request.model, task, request.user))


_decoder = msgspec.json.Decoder(EmbeddingsRequest)


def _inputs(given: str | list[Any]) -> list[str] | list[list[int]]:
    """Return the texts, or the tokens of each. Raises InvalidRequest."""
    if isinstance(given, str):
        given = [given]
    elif given and isinstance(given[0], int):
        given = [given]
        if not all(isinstance(each, int) for each in given[0]):
            raise InvalidRequest("input is of texts, of tokens, or of lists of tokens.", param="input")
    if not 1 <= len(given) <= MAX_INPUTS:
        raise InvalidRequest(f"From 1 to {MAX_INPUTS} inputs are accepted.", param="input")
    kind = type(given[0])
    for place, each in enumerate(given):
        if type(each) is not kind or isinstance(each, int):
            raise InvalidRequest("input is of texts, of tokens, or of lists of tokens.", param=f"input[{place}]")
        if not each:
            raise InvalidRequest("An input may not be empty.", param=f"input[{place}]")
    return given


class EmbeddingsWriter:
    """Writes the vectors of one run."""

    def __init__(self, model: str) -> None:
        self._model = model

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._model = model_id

    def whole(self, chunks: Sequence[Chunk], usage: Usage) -> bytes:
        """Write the whole answer."""
        vectors = result_of(chunks, list[msgspec.Raw])
        data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
        counts = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
        return msgspec.json.encode({"object": "list", "data": data, "model": self._model, "usage": counts})


def result_of(chunks: Sequence[Chunk], kind: Any) -> Any:
    """Return what was read, in the one chunk that has it."""
    return next(msgspec.json.decode(chunk.result, type=kind) for chunk in chunks if chunk.result is not None)


class Embeddings(ApiHandler):
    """Answers with vectors."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send the vectors."""
        asked = parse(body)
        run = await self.run(caller, asked.chat, self.claim(caller, asked.chat))
        self.send_whole(run, asked, EmbeddingsWriter(asked.chat.model))
