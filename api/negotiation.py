"""What a response is written in: JSON, unless a resource has another format and is asked for it."""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class WhateverIsAccepted(DefaultContentNegotiation):
    """Django REST framework's choice, and JSON where the client accepts nothing that there is.

    Clients that mostly ask for streams accept event streams alone, also of what is none.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        """Return the renderer and its media type."""
        choices = list(renderers)
        try:
            renderer, media_type = super().select_renderer(request, choices, format_suffix)
        except NotAcceptable:
            renderer, media_type = choices[0], choices[0].media_type
        return renderer, str(media_type)
