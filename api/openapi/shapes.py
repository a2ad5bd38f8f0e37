"""What /v1 answers, as types: the schemas of the OpenAPI document. Nothing that is not named here is ever sent."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]


class Answer(Struct, forbid_unknown_fields=True):
    """An object with these fields and no others; one with a default may be missing."""


class ErrorDetail(Answer):
    """What went wrong. Each code is described at its ``doc_url``."""

    message: str
    type: str
    param: str | None
    code: str
    doc_url: str


class Error(Answer):
    """A request that failed."""

    error: ErrorDetail


class AnthropicErrorDetail(Answer):
    """What went wrong, in Anthropic's words."""

    type: str
    message: str


class AnthropicError(Answer):
    """A request to /v1/messages that failed."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


# --- Chat ------------------------------------------------------------------------------------------------------------


class PromptTokensDetails(Answer):
    """Tokens of the prompt that a cache already had."""

    cached_tokens: Count


class CompletionTokensDetails(Answer):
    """Tokens of the answer that were thoughts."""

    reasoning_tokens: Count


class Usage(Answer):
    """Tokens that were charged."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails | None = None


class CalledFunction(Answer):
    """A function that the model calls, with its arguments as JSON; in a stream, a piece of it."""

    name: str = ""
    arguments: str = ""


class CalledTool(Answer):
    """A call of a tool."""

    id: str
    type: Literal["function", "custom"]
    function: CalledFunction | None = None
    custom: dict[str, Any] | None = None


class CalledToolDelta(Answer):
    """A piece of a call; its id, type and name come once, with the first piece."""

    index: Count
    id: str | None = None
    type: Literal["function", "custom"] | None = None
    function: CalledFunction | None = None
    custom: dict[str, Any] | None = None


class ChatMessage(Answer):
    """What the model says. Thoughts come under both names that clients look for."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = None
    annotations: list[Any] = []
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CalledTool] | None = None
    function_call: CalledFunction | None = None


class ChatDelta(Answer):
    """A piece of what the model says."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CalledToolDelta] | None = None
    function_call: CalledFunction | None = None


class ChatChoice(Answer):
    """One answer."""

    index: Count
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: str | None


class ChatChunkChoice(Answer):
    """A piece of one answer."""

    index: Count
    delta: ChatDelta
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None


class ChatCompletion(Answer):
    """A whole answer to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: Count
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str | None = None
    service_tier: str | None = None


class ChatCompletionChunk(Answer):
    """One event of a streamed answer; the stream ends with ``[DONE]``."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: Count
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


# --- Completions -----------------------------------------------------------------------------------------------------


class TextChoice(Answer):
    """A text that follows the prompt; in a stream, a piece of it."""

    index: Count
    text: str
    logprobs: None
    finish_reason: str | None


class TextCompletion(Answer):
    """A prompt's continuation, or one event of its stream, which ends with ``[DONE]``."""

    id: str
    object: Literal["text_completion"]
    created: Count
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


# --- Embeddings ------------------------------------------------------------------------------------------------------


class ReadUsage(Answer):
    """Tokens that were read, and charged."""

    prompt_tokens: Count
    total_tokens: Count


class EmbeddedText(Answer):
    """A text's vector: numbers, or their bytes as 32-bit floats in base64."""

    object: Literal["embedding"]
    index: Count
    embedding: list[float] | str


class EmbeddingList(Answer):
    """The vectors, in order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddedText]
    model: str
    usage: ReadUsage


class RankedDocument(Answer):
    """A document's place among those that were sent, how well it answers the query, and its text if that was wanted."""

    index: Count
    relevance_score: float
    document: dict[str, str] | None = None


class Ranking(Answer):
    """The documents, the best first."""

    id: str
    object: Literal["list"]
    model: str
    results: list[RankedDocument]
    usage: ReadUsage


# --- Responses -------------------------------------------------------------------------------------------------------


class InputTokensDetails(Answer):
    """Tokens of the input that a cache already had."""

    cached_tokens: Count


class OutputTokensDetails(Answer):
    """Tokens of the output that were thoughts."""

    reasoning_tokens: Count


class ResponseUsage(Answer):
    """Tokens that were charged."""

    input_tokens: Count
    input_tokens_details: InputTokensDetails
    output_tokens: Count
    output_tokens_details: OutputTokensDetails
    total_tokens: Count


class ResponseError(Answer):
    """Why a response failed."""

    code: str
    message: str


class Response(Answer):
    """A response. ``output`` holds messages, thoughts and calls of tools, in OpenAI's shapes."""

    id: str
    object: Literal["response"]
    created_at: Count
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: ResponseError | None
    incomplete_details: dict[str, str] | None
    instructions: str | list[dict[str, Any]] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[dict[str, Any]]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: Count
    top_p: float | None
    truncation: str
    usage: ResponseUsage | None
    user: str | None
    metadata: dict[str, Any]


class DeletedResponse(Answer):
    """A response that is no longer kept."""

    id: str
    object: Literal["response.deleted"]
    deleted: Literal[True]


class ItemList(Answer):
    """The items that a response was asked with."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputTokenCount(Answer):
    """How long a request to /v1/responses is."""

    object: Literal["response.input_tokens"]
    input_tokens: Count


# --- Messages --------------------------------------------------------------------------------------------------------


class MessageUsage(Answer):
    """Tokens that were charged; what a cache had is counted apart."""

    input_tokens: Count
    cache_creation_input_tokens: Count
    cache_read_input_tokens: Count
    output_tokens: Count


class AnthropicMessage(Answer):
    """A whole message of the model's. ``content`` holds text, thoughts and uses of tools, in Anthropic's shapes."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessageUsage


class MessageTokenCount(Answer):
    """How long a request to /v1/messages is."""

    input_tokens: Count


# --- Resources -------------------------------------------------------------------------------------------------------


class Rates(Answer):
    """Dollars per million tokens, exact, as strings."""

    currency: Literal["USD"]
    unit: Literal["per_million_tokens"]
    input: str
    output: str
    cached_input: str


class AliasTarget(Answer):
    """One of the models that an alias stands for; without a weight it is asked where the others cannot answer."""

    model: str
    weight: int | None


class Model(Answer):
    """A model that can be called now, or an alias: then ``targets`` are the models that may answer."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    name: str
    description: str
    context_length: int
    modalities: list[str]
    features: list[str]
    parameters_total: int | None
    parameters_active: int | None
    license: str
    released_on: str | None
    lifecycle: str
    replacement: str | None
    pricing: Rates
    targets: list[AliasTarget] | None


class ModelList(Answer):
    """All models that can be called now, and all aliases."""

    object: Literal["list"]
    data: list[Model]
    # For clients that ask with their version, and read another kind of models here.
    models: list[Any] = []


class AnthropicModel(Answer):
    """A model, for clients that send ``anthropic-version``."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    max_input_tokens: int


class AnthropicModelList(Answer):
    """All models that can be called now, for clients that send ``anthropic-version``."""

    data: list[AnthropicModel]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None


class Amount(Answer):
    """An amount of money: in whole nano-credits, and as exact dollars."""

    nano: int
    usd: str


class RunningReceipt(Answer, tag_field="status", tag="in_progress"):
    """What is known of a run while it is going."""

    id: str
    object: Literal["receipt"]
    project: str
    key: str | None
    held: Amount
    started_at: str


class ChargedRates(Rates):
    """The version of a price that was charged."""

    id: int
    starts_at: str


class SettledReceipt(Answer, tag_field="status", tag="settled"):
    """What became of a run, and what it cost."""

    id: str
    object: Literal["receipt"]
    completion_id: str
    project: str
    key: str | None
    model: str
    endpoint_kind: str | None
    streamed: bool
    ending: str
    ending_text: str
    error: str | None
    limited_by: str | None
    clamped_to: int | None
    price: ChargedRates
    usage: Usage
    generated_tokens: Count
    delivered_tokens: Count
    counting: str
    held: Amount
    charged: Amount
    released: Amount
    lost: Amount
    started_at: str
    first_token_at: str | None
    ended_at: str
    first_token_seconds: float | None
    tokens_per_second: float | None


class LostReceipt(Answer, tag_field="status", tag="lost"):
    """What is known of a run that was lost with its process: it cost nothing."""

    id: str
    object: Literal["receipt"]
    project: str
    key: str | None
    held: Amount
    charged: Amount
    released: Amount
    started_at: str
    ended_at: str


class ReceiptList(Answer):
    """A page of receipts, the newest first."""

    object: Literal["list"]
    data: list[SettledReceipt]
    first_id: str | None
    last_id: str | None
    has_more: bool


class UsageRow(Answer):
    """What was spent on one group; only what was grouped by is there."""

    id: str
    object: Literal["usage"]
    requests: Count
    errors: Count
    prompt_tokens: Count
    cached_tokens: Count
    completion_tokens: Count
    cost: Amount
    day: str | None = None
    model: str | None = None
    project: str | None = None
    key: str | None = None


class UsagePage(Answer):
    """A page of what was spent in some days."""

    object: Literal["list"]
    data: list[UsageRow]
    first_id: str | None
    last_id: str | None
    has_more: bool
    start: str
    end: str
