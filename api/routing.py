"""The token streams of /v1, on Channels."""

from django.urls import path

from api.chat.consumer import ChatCompletions
from api.messages.consumer import Messages, TokenCount
from api.responses.consumer import Cancellation, InputItems, InputTokens, OneResponse, Responses

http_urlpatterns = [
    path("v1/chat/completions", ChatCompletions.as_asgi()),
    path("v1/responses", Responses.as_asgi()),
    path("v1/responses/input_tokens", InputTokens.as_asgi()),
    path("v1/responses/<str:name>", OneResponse.as_asgi()),
    path("v1/responses/<str:name>/cancel", Cancellation.as_asgi()),
    path("v1/responses/<str:name>/input_items", InputItems.as_asgi()),
    path("v1/messages", Messages.as_asgi()),
    path("v1/messages/count_tokens", TokenCount.as_asgi()),
]
