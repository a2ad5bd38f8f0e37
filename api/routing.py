"""The token streams of /v1, on Channels."""

from django.urls import path

from api.chat.consumer import ChatCompletions

http_urlpatterns = [path("v1/chat/completions", ChatCompletions.as_asgi())]
