"""The models that may answer a run: one, or several where an alias was asked for."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from accounts.caller import Caller
from inference.billing.funding import Need
from inference.catalog.snapshots import ModelSnapshot
from inference.chat import Chat
from inference.errors import EngineError, EngineUnavailable, InferenceError
from inference.routing.replicas import Replica
from inference.routing.route import Route
from inference.runtime import Runtime


class Candidate(NamedTuple):
    """A model that may answer: what the run has to hold for it, and its way to a replica."""

    need: Need
    route: Route


def candidates_among(
    models: Sequence[ModelSnapshot],
    runtime: Runtime,
    caller: Caller,
    chat: Chat,
    *,
    run_id: str,
    fits: bool,
    on_slot: Callable[[Replica], None],
    on_refusal: Callable[[EngineError], None],
) -> list[Candidate]:
    """Return those of the models that can do what is asked, in their order.

    Where none can, raises why the first cannot: ModelNotFound, UnsupportedParameter or EngineUnavailable.
    """

    def candidate(model: ModelSnapshot) -> Candidate:
        rates = model.rates()
        model.check(chat)
        if not model.endpoints:
            raise EngineUnavailable
        queue = runtime.queues.of(model)
        route = Route(model, chat, caller.project_id, queue, runtime.replicas, on_slot=on_slot, on_refusal=on_refusal)
        route.nearest.check(chat)
        return Candidate(
            Need.of(run_id, caller, chat, model=model, rates=rates, limits=runtime.limits, fits=fits), route
        )

    found, refusals = [], []
    for model in models:
        try:
            found.append(candidate(model))
        except InferenceError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return found
