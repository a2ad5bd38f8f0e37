"""A request for a chat completion, typed and frozen: what every protocol's parser ends in.

Field names and ranges are OpenAI's (platform reference, "Create chat completion"); below them stand the sampling
extensions that TGI, vLLM, SGLang and llama.cpp share.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class ImageUrl(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where an image is: a ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text in a message of several parts."""

    text: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """An image in a message of several parts."""

    image_url: ImageUrl


class FunctionCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A function call that the model made earlier in the conversation."""

    name: str
    arguments: str
    # Sent back by clients that had the answer parsed; engines are not told.
    parsed_arguments: Any | UnsetType = UNSET


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call that the model made earlier in the conversation."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | UnsetType | None = UNSET


class Message(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart | ImagePart] | UnsetType | None = UNSET
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    # Sent back by clients that echo an answer as a turn of the conversation.
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    parsed: Any = None
    # As the parameters of these names below.
    audio: None = None
    function_call: None = None


class Function(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function


class ChosenFunction(Struct, frozen=True, forbid_unknown_fields=True):
    """The name of the function that must be called."""

    name: str


class ToolChoice(Struct, frozen=True, forbid_unknown_fields=True):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class JsonSchema(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The schema that the answer must follow."""

    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Plain text, the default."""


class JsonObjectFormat(
    Struct, frozen=True, omit_defaults=True, tag_field="type", tag="json_object", forbid_unknown_fields=True
):
    """Any JSON object; or one that follows a schema, which huggingface_hub's client writes as TGI wants it."""

    value: dict[str, Any] | None = None


class JsonSchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    """JSON that follows a schema."""

    json_schema: JsonSchema


class StreamOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


Penalty = Annotated[float, Meta(ge=-2, le=2)]
Positive = Annotated[int, Meta(ge=1, le=10_000_000)]


class Chat(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request for a chat completion. ``None`` means the same as leaving the field out."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Message], Meta(min_length=1)]

    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: Annotated[str, Meta(min_length=1)] | list[Annotated[str, Meta(min_length=1)]] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    # Extensions that several engines share.
    top_k: int | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    cache_salt: str | None = None

    # Fields without an effect on the answer: accepted, because clients send them unasked.
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None

    # What no engine here does. Clients that write every field they know write null.
    audio: None = None
    function_call: None = None
    functions: None = None
    modalities: list[Literal["text"]] | None = None
    moderation: None = None
    prediction: None = None
    verbosity: None = None
    web_search_options: None = None

    @property
    def completion_limit(self) -> int | None:
        """The caller's own bound on generated tokens, under either of its names."""
        return self.max_completion_tokens or self.max_tokens

    def images(self) -> Iterator[tuple[str, str]]:
        """Yield each image's address, with the path of its part in the body."""
        for number, message in enumerate(self.messages):
            if isinstance(message.content, list):
                for place, part in enumerate(message.content):
                    if isinstance(part, ImagePart):
                        yield part.image_url.url, f"messages[{number}].content[{place}]"

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


# --- What a model may be asked for besides an answer to messages -----------------------------------------------------

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Continuation(Chat, frozen=True, omit_defaults=True, kw_only=True):
    """A request for the text that follows a prompt, or stands between it and a suffix. It has no messages."""

    messages: list[Message] = []
    prompt: str | list[Token]
    suffix: str | None = None


# --- What a model may be asked to read without answering a word ------------------------------------------------------
# For the spine it is a chat that generates nothing: same checks, hold, queue, settlement, receipt. Only what was read
# is charged, and the answer comes in one piece.


class Embedding(Struct, frozen=True, tag="embedding"):
    """Texts, or texts as the model's own tokens, of each of which one vector is made."""

    inputs: list[str] | list[list[Token]]
    encoding: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> int:
        """How many texts the model reads."""
        return len(self.inputs)

    def tokens(self, bytes_per_token: int) -> int:
        """Return how many tokens the texts are, at so many bytes a token."""
        return sum(_tokens(each, bytes_per_token) for each in self.inputs)


class Ranking(Struct, frozen=True, tag="ranking"):
    """Documents, each of which is read together with the query."""

    query: str
    documents: list[str]

    @property
    def texts(self) -> int:
        """How many texts the model reads."""
        return len(self.documents)

    def tokens(self, bytes_per_token: int) -> int:
        """Return how many tokens the texts are, at so many bytes a token."""
        query = _tokens(self.query, bytes_per_token)
        return sum(query + _tokens(each, bytes_per_token) for each in self.documents)


class Reading(Chat, frozen=True, omit_defaults=True, kw_only=True):
    """A request for what a model reads out of texts. It has no messages."""

    messages: list[Message] = []
    task: Embedding | Ranking

    @property
    def completion_limit(self) -> int | None:
        """Nothing is generated, and one token is as little as can be held."""
        return 1

    @property
    def feature(self) -> str:
        """What a model has to be listed with to be asked for this."""
        return EMBEDDINGS if isinstance(self.task, Embedding) else RERANK


EMBEDDINGS, RERANK = "embeddings", "rerank"
# A model that is listed with one of these reads, and does not chat.
READING_FEATURES = (EMBEDDINGS, RERANK)


def reading(model: str, task: Embedding | Ranking, user: str | None = None) -> Reading:
    """Return the request."""
    return Reading(model=model, task=task, user=user)


def _tokens(text: str | list[int], bytes_per_token: int) -> int:
    return len(text.encode()) // bytes_per_token if isinstance(text, str) else len(text)
