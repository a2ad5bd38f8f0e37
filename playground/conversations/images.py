"""Pictures in a conversation: taken as data URLs, kept as bytes, sent to the model as data URLs again."""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final
from uuid import UUID

from accounts.models import User
from inference.errors import InvalidRequest
from playground import limits
from playground.access import projects_of
from playground.errors import NotFound, TooMuch
from playground.models import Conversation, Image

_DATA_URL: Final = re.compile(r"data:(image/[a-z]+);base64,([A-Za-z0-9+/]+={0,2})")
# What each kind of file begins with; what it says it is, it must be: a browser shows it from this site.
_SIGNATURES: Final = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}


def keep(conversation: Conversation, name: str, url: str) -> Image:
    """Keep a picture for a conversation. Raises TooMuch, and InvalidRequest for what is no picture."""
    if conversation.pictures.count() >= limits.MAX_IMAGES_PER_CONVERSATION:
        raise TooMuch(f"A conversation has {limits.MAX_IMAGES_PER_CONVERSATION} pictures at most. Begin a new one.")
    found = _DATA_URL.fullmatch(url)
    if not found or found[1] not in _SIGNATURES:
        raise InvalidRequest("Pictures are taken as PNG, JPEG, GIF or WebP.", param="url")
    try:
        content = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise InvalidRequest("This is not valid base64.", param="url") from None
    if len(content) > limits.MAX_IMAGE_BYTES:
        raise TooMuch(f"A picture has {limits.MAX_IMAGE_BYTES} bytes at most.")
    if not _SIGNATURES[found[1]].match(content):
        raise InvalidRequest(f"This is not {found[1]}.", param="url")
    media_type, name = found[1], name[: limits.MAX_TITLE_CHARACTERS]
    return Image.objects.create(conversation=conversation, media_type=media_type, content=content, name=name)


def find(user: User, pk: UUID) -> Image:
    """Return a picture of one of a person's conversations. Raises NotFound, for another person's just the same."""
    own = Conversation.objects.filter(user=user, project__in=projects_of(user).order_by())
    image = Image.objects.filter(pk=pk, conversation__in=own).first()
    if image is None:
        raise NotFound
    return image


def checked(conversation: UUID, pictures: Collection[UUID]) -> list[str]:
    """Return the ids of pictures that are a conversation's own. Raises NotFound."""
    own = set(Image.objects.filter(conversation=conversation, pk__in=pictures).values_list("pk", flat=True))
    if len(own) < len(set(pictures)):
        raise NotFound
    return [str(picture) for picture in pictures]


def in_order(pictures: Collection[str]) -> list[Image]:
    """Return pictures by their ids; what is gone is left out."""
    found = {str(image.pk): image for image in Image.objects.filter(pk__in=pictures)} if pictures else {}
    return [found[picture] for picture in pictures if picture in found]


def data_url(image: Image) -> str:
    """Return a picture as a model is sent it."""
    return f"data:{image.media_type};base64,{base64.b64encode(bytes(image.content)).decode()}"


def data_urls(pictures: Collection[str]) -> dict[str, str]:
    """Return pictures as a model is sent them, by id."""
    return {str(image.pk): data_url(image) for image in in_order(pictures)}
