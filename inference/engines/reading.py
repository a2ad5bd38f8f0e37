"""Vectors and rankings in the dialect that vLLM, llama.cpp, SGLang, TEI and others share; read whole, in one piece."""

from array import array
from typing import Any, Final

import msgspec
from msgspec import Raw

from inference.chat import Embedding, Ranking, Reading
from inference.chunks import Chunk, Usage
from inference.engines.base import Address
from inference.engines.errors import decoded, error_for, status_of
from inference.engines.events import NULL, UNREADABLE
from inference.errors import EngineError, EngineFailed

# 2,048 vectors of 3,072 numbers each, as base64.
MAX_ANSWER_BYTES: Final = 33_554_432


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None

    def usage(self) -> Usage | None:
        """Return the counts; some tell only the sum, which is the same where nothing is generated."""
        told = self.total_tokens if self.prompt_tokens is None else self.prompt_tokens
        return None if told is None or told < 1 else Usage(told, 0)


class _Vector(msgspec.Struct):
    embedding: Raw
    index: int


class _Score(msgspec.Struct):
    index: int
    relevance_score: float


class _Answer(msgspec.Struct):
    data: list[_Vector] | None = None
    results: list[_Score] | None = None
    usage: _Counts | None = None
    error: Raw = NULL


def path(reading: Reading) -> str:
    """Return where a request is sent."""
    return "/v1/embeddings" if isinstance(reading.task, Embedding) else "/v1/rerank"


def encode(reading: Reading, model: str) -> bytes:
    """Write a request's body."""
    task = reading.task
    fields: dict[str, Any] = {"model": model}
    if isinstance(task, Ranking):
        fields |= {"query": task.query, "documents": task.documents}
    else:
        fields |= {"input": task.inputs, "encoding_format": task.encoding}
        if task.dimensions:
            fields["dimensions"] = task.dimensions
    return msgspec.json.encode(fields)


class ReadingDecoder:
    """Collects one answer, and gives it as one chunk."""

    def __init__(self, address: Address, reading: Reading) -> None:
        self.is_ended = self.has_output = self.is_cut_short = False
        self.failure: EngineError | None = None
        self.signs = 0
        self._address = address
        self._task = reading.task
        self._received = bytearray()

    @property
    def is_finished(self) -> bool:
        """Whether the answer is complete."""
        return self.is_ended

    def feed(self, received: bytes) -> list[Chunk]:
        """Take what arrived."""
        self.signs += 1
        self._received += received
        return self.fail(EngineFailed()) if len(self._received) > MAX_ANSWER_BYTES else []

    def end(self) -> list[Chunk]:
        """Return the answer."""
        try:
            answer = msgspec.json.decode(self._received, type=_Answer)
            if answer.error is not NULL and (error := decoded(bytes(answer.error))):
                return self.fail(error_for(self._address, status_of(error), msgspec.json.encode(error)))
            result = self._vectors(answer) if isinstance(self._task, Embedding) else self._scores(answer)
        except (*UNREADABLE, ValueError):
            return self.fail(EngineFailed())
        self.is_ended = self.has_output = True
        usage = answer.usage.usage() if answer.usage else None
        return [Chunk(result=msgspec.json.encode(result).decode(), finish_reason="stop", usage=usage)]

    def fail(self, error: EngineError) -> list[Chunk]:
        """End with an error."""
        self.is_ended, self.failure = True, error
        return []

    def _vectors(self, answer: _Answer) -> list[Raw]:
        """Return the vectors in order of the inputs. Raises ValueError for what is no answer to them."""
        assert isinstance(self._task, Embedding)
        vectors = sorted(answer.data or (), key=lambda each: each.index)
        if [vector.index for vector in vectors] != list(range(len(self._task.inputs))):
            raise ValueError("there is not one vector for each input")
        return [_written(vector.embedding, self._task.encoding) for vector in vectors]

    def _scores(self, answer: _Answer) -> list[float]:
        """Return how well each document answers the query. Raises ValueError for what is no answer to them."""
        assert isinstance(self._task, Ranking)
        scores = sorted(answer.results or (), key=lambda each: each.index)
        if [score.index for score in scores] != list(range(len(self._task.documents))):
            raise ValueError("there is not one score for each document")
        return [score.relevance_score for score in scores]


def _written(vector: Raw, encoding: str) -> Raw:
    """Return a vector as it is wanted: numbers, or the bytes of 32-bit floats as base64. Raises ValueError."""
    is_text = bytes(vector).startswith(b'"')
    if is_text == (encoding == "base64"):
        return vector
    if is_text:
        return Raw(msgspec.json.encode(array("f", msgspec.json.decode(vector, type=bytes)).tolist()))
    return Raw(msgspec.json.encode(array("f", msgspec.json.decode(vector, type=list[float])).tobytes()))
