"""``/v1/receipts``: what became of each run, and what it cost.

Every amount comes twice: as whole nano-credits, and as exact dollars.
"""

from datetime import datetime
from typing import Any, Final

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.chat.writer import usage_fields
from api.models import rates
from api.parameters import Parameters
from api.scope import scope
from core.ids import request_id, run_named
from credits.models import Hold
from credits.money import nano_to_dollars
from inference.chunks import Usage
from inference.errors import InvalidRequest, ReceiptNotFound
from inference.runs import receipts
from inference.runs.receipts import RunReceipt

DIGITS_AFTER_SECONDS = 3


class AmountField(serializers.Field[int, int, dict[str, int | str], int]):
    """An amount of money; dollars are a string because a JSON number may lose its last digits."""

    def to_representation(self, value: int) -> dict[str, int | str]:
        """Write the amount in both units."""
        return {"nano": value, "usd": dollars(value)}


class HoldSerializer(serializers.Serializer[Hold]):
    """What is known of a run by what is held for it, while it is going."""

    id = serializers.SerializerMethodField()
    object = serializers.ReadOnlyField(default="receipt")
    status = serializers.ReadOnlyField(default="in_progress")
    project = serializers.SerializerMethodField()
    key = serializers.SerializerMethodField()
    held = AmountField(source="amount_nano")
    started_at = serializers.DateTimeField(source="created_at")

    def get_id(self, hold: Hold) -> str:
        """Return the run's ``x-request-id``."""
        return request_id(hold.run)

    def get_project(self, hold: Hold) -> str:
        """Return ``team/project``."""
        path: str = self.context["projects"][int(hold.project)]
        return path

    def get_key(self, hold: Hold) -> str | None:
        """Return the id of the key that spends; None for the browser."""
        return hold.key or None


class LostSerializer(HoldSerializer):
    """What is known of a run that was lost with its process: it cost nothing."""

    status = serializers.ReadOnlyField(default="lost")
    charged = serializers.SerializerMethodField()
    released = AmountField(source="amount_nano")
    ended_at = serializers.SerializerMethodField()

    def get_charged(self, hold: Hold) -> dict[str, int | str]:
        """Return what the run cost."""
        return AmountField().to_representation(0)

    def get_ended_at(self, hold: Hold) -> datetime:
        """Return when its credits were free again."""
        return hold.ended_at or hold.expires_at


class ReceiptSerializer(serializers.Serializer[RunReceipt]):
    """What became of a run that has ended."""

    id = serializers.CharField(source="request_id")
    object = serializers.ReadOnlyField(default="receipt")
    status = serializers.ReadOnlyField(default="settled")
    completion_id = serializers.CharField()
    project = serializers.CharField(source="run.project")
    key = serializers.SerializerMethodField()
    model = serializers.CharField(source="run.model_id")
    endpoint_kind = serializers.CharField(source="run.endpoint.kind", allow_null=True)
    streamed = serializers.BooleanField(source="run.streamed")
    ending = serializers.CharField(source="run.ending")
    ending_text = serializers.CharField(source="run.get_ending_display")
    error = serializers.SerializerMethodField()
    limited_by = serializers.SerializerMethodField()
    clamped_to = serializers.IntegerField(source="run.clamped_to", allow_null=True)
    price = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()
    generated_tokens = serializers.IntegerField(source="run.generated_tokens")
    delivered_tokens = serializers.IntegerField(source="run.delivered_tokens")
    counting = serializers.CharField(source="run.counting")
    held = AmountField(source="held_nano")
    charged = AmountField(source="charged_nano")
    released = AmountField(source="released_nano")
    lost = AmountField(source="lost_nano")
    started_at = serializers.DateTimeField(source="run.started_at")
    first_token_at = serializers.DateTimeField(source="run.first_token_at", allow_null=True)
    ended_at = serializers.DateTimeField(source="run.ended_at")
    first_token_seconds = serializers.SerializerMethodField()
    tokens_per_second = serializers.SerializerMethodField()

    def get_key(self, receipt: RunReceipt) -> str | None:
        """Return the id of the key that spent; None for the browser."""
        return receipt.run.key or None

    def get_error(self, receipt: RunReceipt) -> str | None:
        """Return the code of the error that ended the run; None if none did."""
        return receipt.error_code or None

    def get_limited_by(self, receipt: RunReceipt) -> str | None:
        """Return which credits did not cover the rest of the answer; None if all was covered."""
        return receipt.run.limited_by or None

    def get_price(self, receipt: RunReceipt) -> dict[str, Any]:
        """Return the version of the price that was charged."""
        price = receipt.run.price
        return {"id": price.pk, "starts_at": price.starts_at, **rates(price)}

    def get_usage(self, receipt: RunReceipt) -> dict[str, Any]:
        """Return the tokens that were charged, as the answer itself told them."""
        run = receipt.run
        return usage_fields(Usage(run.prompt_tokens, run.delivered_tokens, run.cached_tokens))

    def get_first_token_seconds(self, receipt: RunReceipt) -> float | None:
        """Return how long the first token took."""
        seconds = receipt.first_token_seconds
        return None if seconds is None else round(seconds, DIGITS_AFTER_SECONDS)

    def get_tokens_per_second(self, receipt: RunReceipt) -> float | None:
        """Return how quickly tokens came."""
        speed = receipt.tokens_per_second
        return None if speed is None else round(speed, DIGITS_AFTER_SECONDS)


def dollars(nano: int) -> str:
    """Write the exact dollars, such as 0.0000042."""
    return f"{nano_to_dollars(nano).normalize():f}"


DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
# When to ask again for the receipt of a run that is still going, in seconds.
RETRY_AFTER_SECONDS: Final = 1


class ReceiptDetail(APIView):
    """``GET /v1/receipts/{request_id}``, by ``x-request-id`` or by the completion's id."""

    def get(self, request: Request, request_id: str) -> Response:
        """Show the receipt; 202 while the run is going, ``lost`` if its process was killed. Raises ReceiptNotFound."""
        Parameters(request.query_params, ())
        reach = scope(request)
        run_id = run_named(request_id)
        if run_id is None:
            raise ReceiptNotFound
        # The hold first: a run that ends in between has its receipt by then.
        hold = receipts.open_hold(reach.caller.team_id, reach.projects, run_id)
        if hold is not None and reach.shows(hold):
            running = HoldSerializer(hold, context={"projects": reach.projects}).data
            return Response(running, status=202, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        receipt = receipts.find(reach.runs, run_id)
        if receipt is not None:
            return Response(ReceiptSerializer(receipt).data)
        lost = receipts.lost_hold(reach.caller.team_id, reach.projects, run_id)
        if lost is None or not reach.shows(lost):
            raise ReceiptNotFound
        return Response(LostSerializer(lost, context={"projects": reach.projects}).data)


class ReceiptList(APIView):
    """``GET /v1/receipts``: the newest first, ``limit`` at a time; ``after`` is the last id of the page before."""

    def get(self, request: Request) -> Response:
        """Show a page in OpenAI's shape for lists."""
        asked = Parameters(request.query_params, ("limit", "after"))
        limit = asked.integer("limit", default=DEFAULT_LIMIT, maximum=MAX_LIMIT)
        reach = scope(request)
        after = None
        if "after" in asked:
            after = reach.runs.filter(pk=run_named(asked.text("after"))).first()
            if after is None:
                raise InvalidRequest("after is the id of a receipt on the page before.", param="after")
        found = receipts.latest(reach.runs, reach.projects, limit=limit + 1, after=after)
        write = ReceiptSerializer().to_representation
        return Response(page([write(receipt) for receipt in found[:limit]], has_more=len(found) > limit))


def page(rows: list[dict[str, object]], *, has_more: bool) -> dict[str, object]:
    """Wrap some rows as OpenAI does."""
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {"first_id": None, "last_id": None}
    return {"object": "list", "data": rows, **ends, "has_more": has_more}
