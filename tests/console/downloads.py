"""Files as a browser takes them from the server, piece by piece."""

from typing import Any

from asgiref.sync import async_to_sync
from django.test import AsyncClient

from accounts.models import User


def fetch(user: User, address: str) -> tuple[Any, str]:
    """Download a file as a browser does over ASGI, and return the response and its text."""

    async def scene() -> tuple[Any, str]:
        client = AsyncClient()
        await client.aforce_login(user)
        response: Any = await client.get(address)
        return response, b"".join([part async for part in response.streaming_content]).decode()

    return async_to_sync(scene)()
