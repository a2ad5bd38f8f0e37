"""``POST /v1/completions``: the text that follows a prompt, as OpenAI had it before there were chats."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from accounts.caller import Caller
from api.chat.writer import DONE, usage_fields
from api.exchange import ApiHandler
from inference.chat import Continuation, Penalty, Positive, StreamOptions, Token
from inference.chunks import Chunk, Usage
from inference.errors import InvalidRequest, UnsupportedParameter
from web.chat import check, read_as
from web.errors import Problem

# OpenAI's own, where nothing is said.
DEFAULT_TOKENS: Final = 16

_encode = msgspec.json.Encoder().encode


class CompletionsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may send. ``None`` means the same as leaving the field out."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    prompt: str | list[str | Token | list[Token]]
    suffix: str | None = None
    max_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    user: str | None = None
    top_k: int | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None

    # Of these, nothing but what changes nothing is done here.
    n: Literal[1] | None = None
    best_of: Literal[1] | None = None
    logprobs: Literal[0] | None = None


class Asked(Struct, frozen=True):
    """A request, understood."""

    chat: Continuation
    # What the answer begins with.
    echo: str
    ignored: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(CompletionsRequest)
# Of which a chat has one by the same name.
_SHARED: Final = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "seed", "logit_bias", "stream"),
    *("stream_options", "user", "top_k", "min_p", "repetition_penalty"),
)


def parse(body: bytes) -> Asked:
    """Read a request body. Raises InvalidRequest."""
    request = read_as(_decoder, body)
    prompt = _prompt(request.prompt)
    if request.echo and not isinstance(prompt, str):
        raise UnsupportedParameter("Only a prompt in text can be echoed.", param="echo")
    chat = Continuation(
        model=request.model,
        prompt=prompt,
        suffix=request.suffix or None,
        max_tokens=request.max_tokens or DEFAULT_TOKENS,
        **{name: getattr(request, name) for name in _SHARED},
    )
    check(chat)
    return Asked(chat, prompt if request.echo and isinstance(prompt, str) else "")


def _prompt(given: str | list[Any]) -> str | list[int]:
    """Return the one prompt. Raises InvalidRequest for none, and UnsupportedParameter for several."""
    prompt: Any = given
    if isinstance(given, list) and given and not isinstance(given[0], int):
        if len(given) > 1:
            raise UnsupportedParameter("One prompt at a time is continued.", param="prompt")
        prompt = given[0]
    if not prompt:
        raise InvalidRequest("The prompt may not be empty.", param="prompt")
    if isinstance(prompt, list) and not all(isinstance(each, int) for each in prompt):
        raise InvalidRequest("prompt is a text, or a list of tokens.", param="prompt")
    return prompt  # type: ignore[no-any-return]


class CompletionWriter:
    """Writes one run's text: in the same bytes, however often."""

    def __init__(self, run_id: str, created: int, asked: Asked) -> None:
        self._asked = asked
        head = {"id": f"cmpl-{run_id}", "object": "text_completion", "created": created, "model": asked.chat.model}
        self._head: dict[str, Any] = head

    def set_model(self, model_id: str) -> None:
        """Name the model that answers."""
        self._head["model"] = model_id

    def opening(self) -> bytes:
        """Write the prompt, if it is to be echoed."""
        return self._event(self._asked.echo, None) if self._asked.echo else b""

    def events(self, chunks: Sequence[Chunk]) -> bytes:
        """Write chunks as they came, in one piece."""
        shown = [chunk for chunk in chunks if chunk.content or chunk.finish_reason]
        return b"".join([self._event(chunk.content or "", chunk.finish_reason) for chunk in shown])

    def ending(self, usage: Usage) -> bytes:
        """Write the usage, if it is wanted, and the end of the stream."""
        return self._usage(usage) + DONE

    def failure(self, problem: Problem, usage: Usage | None) -> bytes:
        """Write what ends a stream that broke off."""
        told = self._usage(usage) if usage else b""
        return told + b"data: " + _encode(problem.body) + b"\n\n" + DONE

    def whole(self, chunks: Sequence[Chunk], usage: Usage) -> bytes:
        """Write the whole text."""
        text = self._asked.echo + "".join([chunk.content for chunk in chunks if chunk.content])
        reason = next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None)
        return _encode({**self._head, "choices": [_choice(text, reason)], "usage": usage_fields(usage)})

    def _event(self, text: str, finish_reason: str | None) -> bytes:
        return b"data: " + _encode({**self._head, "choices": [_choice(text, finish_reason)]}) + b"\n\n"

    def _usage(self, usage: Usage) -> bytes:
        if not self._asked.chat.wants_usage:
            return b""
        return b"data: " + _encode({**self._head, "choices": [], "usage": usage_fields(usage)}) + b"\n\n"


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}


class Completions(ApiHandler):
    """Continues a prompt."""

    async def answer_caller(self, caller: Caller, body: bytes) -> None:
        """Parse, start, and send what comes."""
        asked = parse(body)
        run = await self.run(caller, asked.chat, self.claim(caller, asked.chat))
        self.send(run, asked, CompletionWriter(run.id, run.receipt.created, asked))
