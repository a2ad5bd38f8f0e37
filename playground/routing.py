"""Where sockets are answered."""

from django.urls import path

from playground.socket.base import SOCKET_PATH
from playground.socket.consumer import PlaygroundConsumer

websocket_urlpatterns = [path(SOCKET_PATH[1:], PlaygroundConsumer.as_asgi())]
