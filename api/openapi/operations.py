"""The addresses of /v1 and what may be asked of each: the paths of the OpenAPI document."""

from typing import Any, Final, Literal, NamedTuple

from api.completions import CompletionsRequest
from api.embeddings import EmbeddingsRequest
from api.messages.request import MessagesRequest
from api.openapi import shapes
from api.rerank import RerankRequest
from api.responses.request import ResponseRequest
from inference.chat import Chat

EVENTS: Final = "text/event-stream"
CSV: Final = "text/csv"
Place = Literal["path", "query", "header"]


class Parameter(NamedTuple):
    """A parameter beside the body."""

    name: str
    place: Place
    description: str
    schema: dict[str, Any] = {"type": "string"}
    is_required: bool = False


class Operation(NamedTuple):
    """What is done at one address with one method."""

    method: str
    path: str
    name: str
    summary: str
    tag: str
    # What is sent as JSON, if anything is.
    body: type | None
    # What may come back as JSON with each status; and with 200 in another media type.
    answers: dict[int, tuple[type, ...]]
    also: str | None = None
    # One event of a stream, where each has the same shape.
    event: type | None = None
    parameters: tuple[Parameter, ...] = ()
    error: type = shapes.Error
    is_open: bool = False


_PROJECT = Parameter("OpenAI-Project", "header", "The project that is charged, as team/project, for a key of a team.")
_KEY = Parameter("Idempotency-Key", "header", "Who asks again with the same key gets the same answer, charged once.")
_FIT = Parameter(
    *("Parley-Fit-To-Balance", "header", "Make the answer as short as the balance wants it, rather than refuse."),
    {"type": "string", "enum": ["true", "false"]},
)
_RUN = (_PROJECT, _KEY, _FIT)
_VERSION = Parameter("anthropic-version", "header", "Sent by Anthropic's clients; the answer is then in their shape.")
_RESPONSE = Parameter("name", "path", "The response's id.", is_required=True)
_DAY: Final = {"type": "string", "format": "date"}


def _whole(default: int, maximum: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}


_LIMIT = Parameter("limit", "query", "How many at most.", _whole(20, 100))
_AFTER = Parameter("after", "query", "The last id of the page before.")

OPERATIONS: Final = (
    Operation(
        *("POST", "/v1/chat/completions", "createChatCompletion", "Answer a chat, whole or as a stream", "Chat", Chat),
        {200: (shapes.ChatCompletion,)},
        also=EVENTS,
        event=shapes.ChatCompletionChunk,
        parameters=_RUN,
    ),
    Operation(
        *("POST", "/v1/completions", "createCompletion", "Continue a prompt, whole or as a stream", "Completions"),
        CompletionsRequest,
        {200: (shapes.TextCompletion,)},
        also=EVENTS,
        event=shapes.TextCompletion,
        parameters=_RUN,
    ),
    Operation(
        *("POST", "/v1/embeddings", "createEmbeddings", "Make a vector of each text", "Embeddings", EmbeddingsRequest),
        {200: (shapes.EmbeddingList,)},
        parameters=_RUN,
    ),
    Operation(
        *("POST", "/v1/rerank", "rerank", "Rank documents for a query", "Embeddings", RerankRequest),
        {200: (shapes.Ranking,)},
        parameters=_RUN,
    ),
    Operation(
        *("POST", "/v1/responses", "createResponse", "Create a response, whole, streamed or in the background"),
        *("Responses", ResponseRequest),
        {200: (shapes.Response,)},
        also=EVENTS,
        parameters=_RUN,
    ),
    Operation(
        *("POST", "/v1/responses/input_tokens", "countResponseInput", "Count the tokens of a request", "Responses"),
        ResponseRequest,
        {200: (shapes.InputTokenCount,)},
        parameters=(_PROJECT,),
    ),
    Operation(
        *("GET", "/v1/responses/{name}", "getResponse", "Get a stored response, or the rest of its stream"),
        *("Responses", None),
        {200: (shapes.Response,)},
        also=EVENTS,
        parameters=(
            *(_RESPONSE, _PROJECT),
            Parameter("stream", "query", "true for its events.", {"type": "string", "enum": ["true", "false"]}),
            Parameter("starting_after", "query", "The last event that was seen.", {"type": "integer"}),
        ),
    ),
    Operation(
        *("DELETE", "/v1/responses/{name}", "deleteResponse", "Delete a stored response", "Responses", None),
        {200: (shapes.DeletedResponse,)},
        parameters=(_RESPONSE, _PROJECT),
    ),
    Operation(
        *("POST", "/v1/responses/{name}/cancel", "cancelResponse", "End a response in the background", "Responses"),
        None,
        {200: (shapes.Response,)},
        parameters=(_RESPONSE, _PROJECT),
    ),
    Operation(
        *("GET", "/v1/responses/{name}/input_items", "listInputItems", "List what a response was asked with"),
        *("Responses", None),
        {200: (shapes.ItemList,)},
        parameters=(_RESPONSE, _PROJECT),
    ),
    Operation(
        *("POST", "/v1/messages", "createMessage", "Answer messages as Anthropic does, whole or as a stream"),
        *("Messages", MessagesRequest),
        {200: (shapes.AnthropicMessage,)},
        also=EVENTS,
        parameters=_RUN,
        error=shapes.AnthropicError,
    ),
    Operation(
        *("POST", "/v1/messages/count_tokens", "countMessageTokens", "Count the tokens of a request", "Messages"),
        MessagesRequest,
        {200: (shapes.MessageTokenCount,)},
        parameters=(_PROJECT,),
        error=shapes.AnthropicError,
    ),
    Operation(
        *("GET", "/v1/models", "listModels", "List every model that can be called", "Models", None),
        {200: (shapes.ModelList, shapes.AnthropicModelList)},
        parameters=(_PROJECT, _VERSION),
    ),
    Operation(
        *("GET", "/v1/models/{model_id}", "getModel", "Get one model; its id may hold a slash", "Models", None),
        {200: (shapes.Model, shapes.AnthropicModel)},
        parameters=(Parameter("model_id", "path", "The model's id.", is_required=True), _PROJECT, _VERSION),
    ),
    Operation(
        *("GET", "/v1/receipts", "listReceipts", "List what became of each run, the newest first", "Billing", None),
        {200: (shapes.ReceiptList,)},
        parameters=(_PROJECT, _LIMIT, _AFTER),
    ),
    Operation(
        *("GET", "/v1/receipts/{request_id}", "getReceipt", "Get what became of one run", "Billing", None),
        {200: (shapes.SettledReceipt, shapes.LostReceipt), 202: (shapes.RunningReceipt,)},
        parameters=(
            Parameter("request_id", "path", "The run's x-request-id, or the answer's id.", is_required=True),
            _PROJECT,
        ),
    ),
    Operation(
        *("GET", "/v1/usage", "listUsage", "Sum up what was spent, as JSON or CSV", "Billing", None),
        {200: (shapes.UsagePage,)},
        also=CSV,
        parameters=(
            _PROJECT,
            Parameter("start", "query", "The first day, in UTC.", _DAY),
            Parameter("end", "query", "The last day, in UTC.", _DAY),
            Parameter("group_by", "query", "Any of day, model, project and key, with commas between."),
            Parameter("limit", "query", "How many rows at most.", _whole(100, 1_000)),
            _AFTER,
            Parameter("format", "query", "json or csv.", {"type": "string", "enum": ["json", "csv"]}),
        ),
    ),
    Operation(
        *("GET", "/v1/openapi.json", "getDocument", "Get this document", "About", None),
        {200: (dict,)},
        is_open=True,
    ),
)
