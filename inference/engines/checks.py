"""What no engine of ours does, refused before any credit is held."""

import re

from inference.chat import Chat
from inference.errors import UnsupportedParameter

# Engines fetch other addresses themselves, from inside the operator's network. Nothing but base64 may follow: TGI
# pastes the address into the prompt as ``![](…)``, where a bracket would end it and begin the next.
_EMBEDDED_IMAGE = re.compile(r"data:image/[a-zA-Z0-9.+-]+;base64,[a-zA-Z0-9+/]+={0,2}")


def check_common(chat: Chat) -> None:
    """Refuse several choices and images from elsewhere. Raises UnsupportedParameter."""
    if chat.n is not None and chat.n > 1:
        raise UnsupportedParameter("Only one choice (n = 1) is supported.", param="n")
    for url, path in chat.images():
        if not _EMBEDDED_IMAGE.fullmatch(url):
            raise UnsupportedParameter(
                "Images are accepted as data: URLs with base64 only.", param=f"{path}.image_url.url"
            )


def refuse_given(chat: Chat, fields: tuple[str, ...]) -> None:
    """Refuse fields that an engine would ignore in silence. Raises UnsupportedParameter."""
    for field in fields:
        if getattr(chat, field):
            raise UnsupportedParameter(f"This model does not support {field}.", param=field)
