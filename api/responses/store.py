"""Responses that are kept: found by their id, by their owner alone, with what they said."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts.caller import Caller
from api.kept.models import StoredResponse
from api.responses.request import Asked, Items, ResponseRequest, understand
from api.responses.writer import ResponseWriter
from core.errors import Failure
from inference.errors import InvalidRequest
from inference.models import IdempotencyKey
from inference.runs.idempotency_keys import Kept, kept_in
from web.errors import NotFound

# How many go with each new one: more than it adds.
CLEARED_AT_ONCE: Final = 10
_ITEM: Final = re.compile(r"(?:msg|rs|fc|ctc)_([0-9a-f]{32})_\d+")
_RESPONSE: Final = re.compile(r"resp_([0-9a-f]{32})")

_encode = msgspec.json.Encoder().encode
_decode_request = msgspec.json.Decoder(ResponseRequest).decode
_decode_failure = msgspec.json.Decoder(Failure).decode


class Stored(msgspec.Struct, frozen=True):
    """A stored response: what was asked for, and its answer as far as it is kept."""

    run_id: str
    created: int
    claim: UUID
    request: ResponseRequest
    ancestors: list[str]
    is_cancelled: bool
    kept: Kept | None
    failure: Failure | None
    # Whether somebody may still be answering.
    is_claimed: bool

    def asked(self) -> Asked:
        """Return the request as it was understood, but for what came before it."""
        return understand(self.request, [{"role": "user", "content": ""}])

    def output(self) -> Items:
        """Return the items that were answered with."""
        if self.kept is None:
            return []
        writer = ResponseWriter(self.run_id, self.created, self.asked())
        return list(writer.response(self.kept.chunks, self.kept.usage)["output"])

    def input(self) -> Items:
        """Return the items that were sent."""
        given = self.request.input
        return [{"role": "user", "content": given}] if isinstance(given, str) else given or []


async def keep(caller: Caller, run_id: str, claim: UUID, request: ResponseRequest, ancestors: list[str]) -> None:
    """Keep a request, so that its answer is found."""
    await database_sync_to_async(_keep)(caller, run_id, claim, request, ancestors)


def _keep(caller: Caller, run_id: str, claim: UUID, request: ResponseRequest, ancestors: list[str]) -> None:
    now = timezone.now()
    over = StoredResponse.objects.filter(expires_at__lte=now).values_list("pk", flat=True)[:CLEARED_AT_ONCE]
    StoredResponse.objects.filter(pk__in=list(over)).delete()
    StoredResponse.objects.create(
        run=run_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        expires_at=now + timedelta(seconds=settings.RESPONSE_KEEP_SECONDS),
        claim=claim,
        request=_encode(request),
        ancestors=ancestors,
    )


async def find(caller: Caller, name: str) -> Stored:
    """Return a response by its id. Raises NotFound, for those of others too."""
    named = _RESPONSE.fullmatch(name)
    found = await _load(caller, [named[1]] if named else [])
    if not found:
        raise NotFound(f"Response with id '{name[:64]}' not found.")
    return found[0]


async def before(caller: Caller, request: ResponseRequest) -> list[Stored]:
    """Return the responses that a request goes on from, oldest first. Raises InvalidRequest."""
    if request.previous_response_id is None:
        return []
    try:
        last = await find(caller, request.previous_response_id)
    except NotFound:
        raise InvalidRequest(
            f"Previous response with id '{request.previous_response_id}' not found.", param="previous_response_id"
        ) from None
    found = {each.run_id: each for each in await _load(caller, last.ancestors)}
    return [found[run_id] for run_id in last.ancestors if run_id in found] + [last]


async def resolved(caller: Caller, request: ResponseRequest) -> ResponseRequest:
    """Return a request with the items in it that it only refers to. Raises InvalidRequest for one that is not there."""
    items = request.input if isinstance(request.input, list) else []
    references = {
        place: str(item.get("id")) for place, item in enumerate(items) if item.get("type") == "item_reference"
    }
    if not references:
        return request
    runs = {named[1] for reference in references.values() if (named := _ITEM.fullmatch(reference))}
    known = {item["id"]: item for stored in await _load(caller, runs) for item in stored.output()}
    for place, reference in references.items():
        if reference not in known:
            raise InvalidRequest(f"Item with id '{reference}' not found.", param=f"input[{place}].id")
    given = [known[references[place]] if place in references else item for place, item in enumerate(items)]
    return msgspec.structs.replace(request, input=given)


async def forget(stored: Stored) -> None:
    """Delete a response and its answer."""
    await StoredResponse.objects.filter(pk=stored.run_id).adelete()
    await IdempotencyKey.objects.filter(pk=stored.claim, answer__isnull=False).adelete()


async def drop(run_id: str) -> None:
    """Forget a request that another one answers for."""
    await StoredResponse.objects.filter(pk=run_id).adelete()


async def cancel(stored: Stored) -> None:
    """Have a response end, in whatever process it is under way."""
    await StoredResponse.objects.filter(pk=stored.run_id).aupdate(is_cancelled=True)


async def is_cancelled(run_id: str) -> bool:
    """Whether somebody wants a response to end, or to be forgotten."""
    return not await StoredResponse.objects.filter(pk=run_id, is_cancelled=False).aexists()


async def note_failure(run_id: str, failure: Failure) -> None:
    """Keep why there is no answer."""
    await StoredResponse.objects.filter(pk=run_id).aupdate(failure=_encode(failure))


async def _load(caller: Caller, runs: Iterable[str]) -> list[Stored]:
    return await database_sync_to_async(_loaded)(caller, list(runs)) if runs else []


def _loaded(caller: Caller, runs: list[str]) -> list[Stored]:
    now = timezone.now()
    rows = StoredResponse.objects.filter(
        pk__in=runs, project=caller.project_id, user=caller.user_id, expires_at__gt=now
    )
    claims = {
        row.pk: row for row in IdempotencyKey.objects.filter(pk__in=[row.claim for row in rows], expires_at__gt=now)
    }
    return [_stored(row, claims.get(row.claim)) for row in rows]


def _stored(row: StoredResponse, claim: IdempotencyKey | None) -> Stored:
    kept = kept_in(claim) if claim and claim.answer is not None else None
    return Stored(
        run_id=row.run,
        # The run begins a moment after it is kept.
        created=kept.created if kept else int(row.created_at.timestamp()),
        claim=row.claim,
        request=_decode_request(row.request),
        ancestors=row.ancestors,
        is_cancelled=row.is_cancelled,
        kept=kept,
        failure=_decode_failure(row.failure) if row.failure else None,
        is_claimed=claim is not None,
    )
