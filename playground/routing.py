"""Where sockets are answered."""

from django.urls import path

from playground.consumers import PlaygroundConsumer
from playground.sockets import SOCKET_PATH

websocket_urlpatterns = [path(SOCKET_PATH[1:], PlaygroundConsumer.as_asgi())]
