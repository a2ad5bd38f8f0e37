"""The ASGI application: sockets go to Channels consumers, token streams to our handlers, everything else to Django."""

import os
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django_application = get_asgi_application()

# Django must be set up before the rooms' modules are imported.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import WebsocketDenier  # noqa: E402
from django.urls import re_path  # noqa: E402

from api.middleware import ApiMiddleware  # noqa: E402
from api.routing import http_urlpatterns  # noqa: E402
from config import operating  # noqa: E402
from config.lifecycle import lifespan  # noqa: E402
from playground.routing import websocket_urlpatterns  # noqa: E402
from web.edge import Edge  # noqa: E402

application = ApiMiddleware(
    Edge(
        ProtocolTypeRouter(
            {
                "http": URLRouter(
                    [*http_urlpatterns, *operating.http_urlpatterns, re_path(r"", cast(Any, django_application))]
                ),
                "lifespan": lifespan,
                "websocket": AuthMiddlewareStack(
                    URLRouter([*websocket_urlpatterns, re_path(r"", cast(Any, WebsocketDenier.as_asgi()))])
                ),
            }
        ),
    )
)
