"""``/v1/receipts``: what became of each run, and what it cost."""

from typing import Final

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.parameters import Parameters
from api.scope import scope
from api.serializers_billing import HoldSerializer, LostSerializer, ReceiptSerializer
from inference import receipts
from inference.errors import InvalidRequest, ReceiptNotFound

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
        run_id = receipts.run_id(request_id)
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
            after = reach.runs.filter(pk=receipts.run_id(asked.text("after"))).first()
            if after is None:
                raise InvalidRequest("after is the id of a receipt on the page before.", param="after")
        found = receipts.latest(reach.runs, reach.projects, limit=limit + 1, after=after)
        write = ReceiptSerializer().to_representation
        return Response(page([write(receipt) for receipt in found[:limit]], has_more=len(found) > limit))


def page(rows: list[dict[str, object]], *, has_more: bool) -> dict[str, object]:
    """Wrap some rows as OpenAI does."""
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {"first_id": None, "last_id": None}
    return {"object": "list", "data": rows, **ends, "has_more": has_more}
