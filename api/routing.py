"""The token streams of /v1, which Django's middleware never sees."""

from typing import Any, cast

from django.urls import path

from api.chat.completions import ChatCompletions
from api.completions import Completions
from api.embeddings import Embeddings
from api.exchange import ApiHandler
from api.messages.handlers import Messages, TokenCount
from api.rerank import Rerank
from api.responses.handlers import Cancellation, InputItems, InputTokens, OneResponse, Responses
from web.exchange import serve


def _at(address: str, handler: type[ApiHandler]) -> Any:
    return path(address, cast(Any, serve(handler.answer)))


http_urlpatterns = [
    _at("v1/chat/completions", ChatCompletions),
    _at("v1/completions", Completions),
    _at("v1/embeddings", Embeddings),
    _at("v1/rerank", Rerank),
    _at("v1/responses", Responses),
    _at("v1/responses/input_tokens", InputTokens),
    _at("v1/responses/<str:name>", OneResponse),
    _at("v1/responses/<str:name>/cancel", Cancellation),
    _at("v1/responses/<str:name>/input_items", InputItems),
    _at("v1/messages", Messages),
    _at("v1/messages/count_tokens", TokenCount),
]
