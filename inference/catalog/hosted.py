"""Hugging Face Inference Endpoints: which there are, and pausing and resuming them."""

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inference.catalog.hub import HubUnavailable, reached

if TYPE_CHECKING:
    from huggingface_hub import InferenceEndpoint

# Those of the person whose token it is, and of so many organisations.
MAX_ORGANISATIONS: Final = 10
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class Hosted(msgspec.Struct, frozen=True):
    """One Inference Endpoint."""

    namespace: str
    name: str
    repository: str
    # In the Hub's words, such as running, initializing, paused or scaledToZero.
    status: str
    # Empty until it has one.
    url: str
    hardware: str

    @property
    def path(self) -> str:
        """Its full name."""
        return f"{self.namespace}/{self.name}"

    @property
    def is_paused(self) -> bool:
        """Whether it does nothing, and costs nothing, until it is resumed."""
        return self.status == "paused"


def every() -> list[Hosted]:
    """Return all that the token reaches. Raises HubUnavailable."""
    with reached() as api:
        person = api.whoami()
        organisations = [each["name"] for each in person.get("orgs", [])[:MAX_ORGANISATIONS]]
        found = [_hosted(each) for each in api.list_inference_endpoints(namespace=person["name"])]
        for organisation in organisations:
            try:
                with reached():
                    found += [_hosted(each) for each in api.list_inference_endpoints(namespace=organisation)]
            except HubUnavailable:
                # One that does not pay for endpoints, or does not let this person see them.
                continue
        return found


def pause(path: str) -> Hosted:
    """Stop an endpoint and what it costs. Raises HubUnavailable."""
    namespace, name = _parts(path)
    with reached() as api:
        return _hosted(api.pause_inference_endpoint(name, namespace=namespace))


def resume(path: str) -> Hosted:
    """Start an endpoint again, which takes minutes. Raises HubUnavailable."""
    namespace, name = _parts(path)
    with reached() as api:
        return _hosted(api.resume_inference_endpoint(name, namespace=namespace))


def _parts(path: str) -> tuple[str, str]:
    """Split a full name. Raises HubUnavailable for what would be another address of the Hub's."""
    namespace, _, name = path.partition("/")
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
        raise HubUnavailable("there is no Inference Endpoint of this name")
    return namespace, name


def _hosted(endpoint: "InferenceEndpoint") -> Hosted:
    compute: dict[str, Any] = endpoint.raw.get("compute") or {}
    hardware = " ".join(str(compute[part]) for part in ("instanceType", "instanceSize") if compute.get(part))
    return Hosted(
        endpoint.namespace, endpoint.name, endpoint.repository, str(endpoint.status), endpoint.url or "", hardware
    )
