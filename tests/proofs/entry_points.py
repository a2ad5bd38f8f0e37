"""Every way into the site, found and not listed: what the ASGI application routes, what sockets hear, what is typed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.admin import ModelAdmin
from django.core.handlers.asgi import ASGIHandler
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from config.asgi import application

# What an application that only passes connections on calls the one behind it.
BEHIND = ("_application", "application", "app", "inner")
ROOMS = ("accounts", "credits", "inference", "web", "api", "playground", "console", "config", "proofs")


@dataclass(frozen=True)
class Way:
    """An address. The routes that Django gives each panel of the admin are one ``name``: the panel's."""

    pattern: str
    callback: Any

    @property
    def panel(self) -> "ModelAdmin[Any] | None":
        """The panel of the admin whose view it is, if it is one of Django's own views."""
        found = getattr(self.callback, "model_admin", None)
        return found if isinstance(found, ModelAdmin) else None

    @property
    def name(self) -> str:
        """What it is classified under."""
        if self.panel is None:
            return f"/{self.pattern}"
        options = self.panel.model._meta
        return f"/admin/{options.app_label}/{options.model_name}/"

    def address(self, values: dict[str, str]) -> str:
        """Return an address that it answers. Raises KeyError for a part that nobody gave a value to."""
        plain = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", self.pattern).replace("^", "").replace("$", "")
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: values[part[1]], plain)


def http_ways() -> list[Way]:
    """Return every address that answers over HTTP."""
    return [way for route in _router("http").routes for way in _expanded(route, "")]


def socket_ways() -> list[Way]:
    """Return every address that opens a socket."""
    return [way for route in _router("websocket").routes for way in _expanded(route, "")]


def protocols() -> set[str]:
    """Return the protocols that the application answers."""
    return set(_protocols().application_mapping)


def frames(consumer: Any) -> dict[str, type[msgspec.Struct]]:
    """Return every frame of the room that a socket's consumer is in, by its tag."""
    room = consumer.__module__.partition(".")[0]
    return {
        str(kind.__struct_config__.tag): kind
        for kind in _kinds(msgspec.Struct)
        if kind.__struct_config__.tag is not None and kind.__module__.partition(".")[0] == room
    }


def commands() -> set[str]:
    """Return the names of the site's own ``manage.py`` commands."""
    return {name for name, app in get_commands().items() if app in ROOMS}


def _kinds(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _kinds(sub)


def _protocols() -> ProtocolTypeRouter:
    found = _behind(application, ProtocolTypeRouter)
    assert isinstance(found, ProtocolTypeRouter)
    return found


def _router(protocol: str) -> URLRouter:
    return _behind(_protocols().application_mapping[protocol], URLRouter)


def _behind(outer: Any, kind: type[Any]) -> Any:
    """Look through middleware for an application of the kind."""
    while not isinstance(outer, kind):
        inner = [vars(outer)[name] for name in BEHIND if name in vars(outer)]
        assert len(inner) == 1, f"nobody can see what is behind {outer}"
        outer = inner[0]
    return outer


def _expanded(route: URLPattern | URLResolver, before: str) -> Iterator[Way]:
    pattern = before + str(route.pattern)
    if isinstance(route, URLResolver):
        for inner in route.url_patterns:
            yield from _expanded(inner, pattern)
    elif isinstance(route.callback, ASGIHandler):
        for inner in get_resolver().url_patterns:
            yield from _expanded(inner, pattern)
    else:
        assert not isinstance(route.callback, (URLRouter, ProtocolTypeRouter)), "a router inside a router"
        yield Way(pattern, route.callback)
