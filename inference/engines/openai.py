"""Engines that speak OpenAI's dialect as it stands: routers, hosted providers and others. The base of the others.

vLLM and SGLang can do more than the dialect has words for, and are known by whom their list of models names as owner.
"""

import json
import re
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, structs

from inference.chat import Chat, Continuation, Message, Reading, StreamOptions
from inference.engines import reading
from inference.engines.base import Address, Decoder, Description
from inference.engines.checks import check_common
from inference.engines.decoder import AnswerReader
from inference.engines.errors import decoded, error_for, first_line, said_in
from inference.engines.events import UNREADABLE
from inference.engines.load import SGLANG, VLLM, Load, Series, load_in
from inference.engines.reading import ReadingDecoder
from inference.engines.served import LISTING, ServedModels
from inference.errors import AskedAmiss, EngineError, EngineFailed, EngineTimeout, UnsupportedParameter
from inference.transport.client import HttpClient, Request

# A health check may run a real generation: TGI's does after an error.
HEALTH_SECONDS = 5.0
# Counting tokens and asking for a description.
QUESTION_SECONDS = 10.0
# Asking who is there, before the first answer.
INTRODUCTION_SECONDS = 2.0
# TGI spells out every token of a prompt, about 60 bytes each.
MAX_ANSWER_BYTES = 33_554_432

Answered = TypeVar("Answered")

# Fields that change nothing in the answer, and are not for every server to understand.
_WITHOUT_EFFECT: dict[str, Any] = dict.fromkeys(
    [
        *("max_completion_tokens", "n", "modalities", "user", "metadata", "store", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    ]
)
_STREAM_OPTIONS = StreamOptions(include_usage=True)
# In an address's path, such as /v1beta/openai or /api/paas/v4: no /v1 belongs behind it.
_VERSION = re.compile(r"/v\d+[a-z\d]*(?:/|\Z)")
# How servers say, by OpenAI's names, that they know no such thing.
_LACKING = {
    "max_tokens": re.compile(r"max_tokens.{1,60}(?:unsupported|not supported).*max_completion_tokens", re.IGNORECASE),
    "cache_salt": re.compile(r"cache_salt.{0,60}(?:unsupported|not supported|not permitted|extra)", re.IGNORECASE),
    "stream_options": re.compile(
        r"stream_options.{0,60}(?:unsupported|not supported|unknown|unrecognized|not permitted|extra)"
        r"|(?:unsupported|unknown|unrecognized|unexpected|extra)[^.]{0,60}stream_options",
        re.IGNORECASE,
    ),
}
# Servers that refuse a request for a path that they do not have.
_NO_SUCH_PATH = (404, 405, 501)
# A server that is busy, or still loads behind a gateway.
_LATER = (429, 502, 503, 504)


class _RunningUsage(msgspec.Struct, frozen=True):
    """Stream options of servers that can tell the counts with every chunk."""

    include_usage: bool = True
    continuous_usage_stats: bool = True


_RUNNING_USAGE = _RunningUsage()


class OpenAIEngine:
    """An OpenAI-compatible server, always asked for a stream with usage."""

    health_path: ClassVar = "/v1/models"
    # Whose server it is, where there is only one that speaks the dialect; None: it has to be asked.
    server: ClassVar[str | None] = None
    # What its metrics page calls things, where that is known before it is asked.
    series: ClassVar[Series | None] = None

    def __init__(self, address: Address, http: HttpClient) -> None:
        self._address = address
        self._http = http
        self._root = address.base_url.rstrip("/").removesuffix("/v1")
        self._is_whole = bool(_VERSION.search(self._root.partition("://")[2]))
        self._headers = {"Content-Type": "application/json"}
        if address.credential:
            self._headers["Authorization"] = f"Bearer {address.credential}"
        # Who is there; None until asked.
        self._server = self.server
        # What it turned out to do without, by OpenAI's names.
        self._lacks: set[str] = set()

    def check(self, chat: Chat) -> None:
        """Refuse what this engine cannot do. Raises UnsupportedParameter."""
        check_common(chat)

    async def meet(self, chat: Chat) -> None:
        """Learn whose server it is, if that is not known yet. Raises UnsupportedParameter."""
        if self._server is None:
            await self._introduce()
        if isinstance(chat, Continuation) and not self.continues:
            raise UnsupportedParameter("This model is not known to continue plain prompts.", param="prompt")

    @property
    def continues(self) -> bool:
        """Whether it has /v1/completions: one that has not would look broken."""
        return bool(self._server)

    def salted(self, chat: Chat, salt: str) -> Chat:
        """Return the chat with a salt, which goes into vLLM's and SGLang's cache of prefixes; elsewhere as it is."""
        if not self._server or "cache_salt" in self._lacks:
            return chat
        # A salt that the caller chose keeps its requests apart from others of the same team.
        mixed = blake2b(f"{salt} {chat.cache_salt or ''}".encode(), digest_size=16).hexdigest()
        return structs.replace(chat, cache_salt=mixed)

    def request(self, chat: Chat, max_tokens: int | None) -> Request:
        """Return what to send for an answer."""
        if isinstance(chat, Continuation):
            body = _continuing(self.encode(chat, max_tokens))
            return Request("POST", self._url("/v1/completions"), self._headers, body)
        if isinstance(chat, Reading):
            body = reading.encode(chat, self._address.upstream_model)
            return Request("POST", self._url(reading.path(chat)), self._headers, body)
        return Request("POST", self._url("/v1/chat/completions"), self._headers, self.encode(chat, max_tokens))

    def decoder(self, chat: Chat, max_tokens: int | None = None) -> Decoder:
        """Return what reads the answer."""
        return (
            ReadingDecoder(self._address, chat) if isinstance(chat, Reading) else self.answer_reader(chat, max_tokens)
        )

    def answer_reader(self, chat: Chat, max_tokens: int | None) -> AnswerReader:
        """Return what reads the answer to a chat."""
        return AnswerReader(self._address, chat, max_tokens)

    def refusal(self, status: int, body: bytes) -> EngineError:
        """Return the error for a response that is not a success; one that will not come again is the server's."""
        if status not in (400, 422):
            return self.error_for(status, body)
        # Another server may have taken its place, which does not know all that this one does.
        self._server = self.server if self._server else self._server
        message, _ = said_in(decoded(body))
        lacking = {field for field, words in _LACKING.items() if words.search(message)} - self._lacks
        if lacking:
            self._lacks |= lacking
            return AskedAmiss()
        return self.error_for(status, body)

    async def count_prompt(self, chat: Chat) -> int | None:
        """Have vLLM count the templated prompt; None elsewhere: OpenAI's dialect has no word for it."""
        if self._server is None:
            await self._introduce()
        # Of an image it counts no more than the place.
        if self._server != "vllm" or any(chat.images()):
            return None
        chat = self.translate(chat, None)
        return await self._count(
            {
                "model": chat.model,
                "messages": chat.messages,
                **({"tools": chat.tools} if chat.tools and chat.tool_choice != "none" else {}),
                **({"chat_template_kwargs": chat.chat_template_kwargs} if chat.chat_template_kwargs else {}),
            }
        )

    async def count_text(self, text: str) -> int | None:
        """Have vLLM or SGLang count plain text; None elsewhere: OpenAI's dialect has no word for it."""
        if self._server is None:
            await self._introduce()
        if not self._server:
            return None
        return await self._count({"model": self._address.upstream_model, "prompt": text, "add_special_tokens": False})

    async def describe(self) -> Description:
        """Find the served model in the list of models; vLLM and SGLang tell its context there."""
        served = ServedModels.of(await self.ask("GET", "/v1/models", type=LISTING))
        self._server = self.server or served.server
        named = [model for model in served.models if model.id == self._address.upstream_model]
        adapters = tuple(model.id for model in served.models if model.is_adapter)
        if not named:
            others = [model.id for model in served.models if not model.is_adapter]
            return Description(model=others[0] if len(others) == 1 else None, adapters=adapters, server=served.server)
        return Description(named[0].id, named[0].context_tokens, adapters=adapters, server=served.server)

    async def is_healthy(self) -> bool:
        """Whether the server would answer now; never raises."""
        try:
            status, _ = await self._fetch("GET", self.health_path, seconds=HEALTH_SECONDS)
        except EngineError:
            return False
        return status == 200

    async def load(self) -> Load | None:
        """Return how busy the server says that it is; None where it does not tell. Never raises."""
        series = self.series or {"vllm": VLLM, "sglang": SGLANG}.get(self._server or "")
        if series is None:
            return None
        try:
            status, page = await self._fetch("GET", "/metrics", seconds=HEALTH_SECONDS)
        except EngineError:
            return None
        return load_in(page, series) if status == 200 else None

    def encode(self, chat: Chat, max_tokens: int | None) -> bytes:
        """Write the request's body."""
        return msgspec.json.encode(self.translate(chat, max_tokens))

    def translate(self, chat: Chat, max_tokens: int | None) -> Chat:
        """Return the chat as this engine wants it."""
        limit = {"max_tokens": None, self._limit_field: max_tokens or chat.completion_limit}
        return structs.replace(
            chat,
            **_WITHOUT_EFFECT | limit,
            model=self._address.upstream_model,
            messages=[self.message(message) for message in chat.messages],
            tools=chat.tools or None,
            stream=True,
            stream_options=self._stream_options,
        )

    @property
    def _limit_field(self) -> str:
        return "max_completion_tokens" if "max_tokens" in self._lacks else "max_tokens"

    @property
    def _stream_options(self) -> "StreamOptions | _RunningUsage | None":
        if "stream_options" in self._lacks:
            return None
        return _RUNNING_USAGE if self._server else _STREAM_OPTIONS

    def message(self, message: Message) -> Message:
        """Return a message without what a client merely sent back."""
        if all(each is None for each in (message.tool_calls, message.refusal, message.annotations, message.parsed)):
            return message
        calls = [
            structs.replace(call, function=structs.replace(call.function, parsed_arguments=UNSET))
            for call in message.tool_calls or ()
        ]
        return structs.replace(message, refusal=None, annotations=None, parsed=None, tool_calls=calls or None)

    def error_for(self, status: int, body: bytes) -> EngineError:
        """Return the error for a response that is not a success."""
        return error_for(self._address, status, body)

    async def ask(self, method: str, path: str, body: bytes | None = None, *, type: type[Answered]) -> Answered:
        """Ask a short question and decode the answer."""
        status, answer = await self._fetch(method, path, body)
        return self._answered(f"{method} {self._url(path)}", status, answer, type)

    def _answered(self, question: str, status: int, answer: bytes, type: type[Answered]) -> Answered:
        """Return what a server answered. Raises EngineError, with the details for whoever runs the server."""
        try:
            if status != 200:
                raise self.error_for(status, answer)
            return _decoded(answer, type)
        except EngineError as error:
            what = "" if status != 200 else ", but not what was asked for"
            line = first_line(answer)
            line = line.replace(self._address.credential, "…") if self._address.credential else line
            error.details = f"{question} answered {status}{what}: {line}"
            raise

    async def _fetch(
        self, method: str, path: str, body: bytes | None = None, seconds: float = QUESTION_SECONDS
    ) -> tuple[int, bytes]:
        question = Request(method, self._url(path), self._headers, body)
        try:
            return await self._http.fetch(question, seconds=seconds, limit=MAX_ANSWER_BYTES)
        except EngineError as error:
            error.details = f"{method} {question.url}: {_silence(error, seconds)}"
            raise

    def _url(self, path: str) -> str:
        """Return where a path is; an address that has a version in it is all that comes before OpenAI's own paths."""
        return self._root + (path.removeprefix("/v1") if self._is_whole else path)

    async def _introduce(self) -> None:
        """Ask who is there. Who does not answer yet is asked again; who answers anything else is nobody we know."""
        try:
            status, answer = await self._fetch("GET", "/v1/models", seconds=INTRODUCTION_SECONDS)
        except EngineError:
            return
        if status in _LATER:
            return
        try:
            self._server = ServedModels.of(_decoded(answer, LISTING)).server if status == 200 else ""
        except EngineFailed:
            self._server = ""

    async def _count(self, question: dict[str, Any]) -> int | None:
        """Count tokens as vLLM and SGLang do; None where a proxy in front of them lets nobody ask."""
        status, answer = await self._fetch("POST", "/tokenize", msgspec.json.encode(question))
        if status in _NO_SUCH_PATH:
            return None
        return self._answered(f"POST {self._url('/tokenize')}", status, answer, _Counted).count


def _continuing(body: bytes) -> bytes:
    """Return the body of a chat without messages in the words of /v1/completions."""
    fields = msgspec.json.decode(body)
    limit = fields.pop("max_completion_tokens", None)
    fields |= {"max_tokens": limit} if limit else {}
    return msgspec.json.encode({name: value for name, value in fields.items() if name != "messages"})


class _Counted(msgspec.Struct):
    """The answer to a count."""

    count: Annotated[int, msgspec.Meta(ge=0)]


def _decoded(answer: bytes, type: type[Answered]) -> Answered:
    """Read an answer, also where numbers in it are text, or none at all (NaN). Raises EngineFailed."""
    try:
        return msgspec.json.decode(answer, type=type)
    except UNREADABLE:
        pass
    try:
        return msgspec.convert(json.loads(answer), type, strict=False)
    except (ValueError, RecursionError) as error:
        raise EngineFailed from error


def _silence(error: EngineError, seconds: float) -> str:
    return f"no answer within {seconds:g} s" if isinstance(error, EngineTimeout) else "no connection, or it broke off"
