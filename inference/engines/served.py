"""A server's list of its models, however it is written: what is no model in it is left out."""

from typing import Any

import msgspec

from inference.engines.lenient import count_of

# OpenAI's list stands in an object, some providers' by itself.
LISTING: Any = dict[str, Any] | list[Any]
_KNOWN_SERVERS = ("vllm", "sglang")


class ServedModel(msgspec.Struct, frozen=True):
    """A model that a server names."""

    id: str
    context_tokens: int | None
    owned_by: str
    # Whether it changes another one, as LoRA adapters do.
    is_adapter: bool


class ServedModels(msgspec.Struct, frozen=True):
    """All models that a server names."""

    models: tuple[ServedModel, ...]

    @classmethod
    def of(cls, listing: Any) -> "ServedModels":
        """Read a list of models, decoded as ``LISTING``."""
        written = listing if isinstance(listing, list) else listing.get("data")
        entries = written if isinstance(written, list) else []
        return cls(
            tuple(_model(each) for each in entries if isinstance(each, dict) and isinstance(each.get("id"), str))
        )

    @property
    def server(self) -> str:
        """Whose list it is, if it is one that we know; else empty."""
        return next((model.owned_by for model in self.models if model.owned_by in _KNOWN_SERVERS), "")


def _model(written: dict[str, Any]) -> ServedModel:
    context, owner = count_of(written.get("max_model_len")), written.get("owned_by")
    return ServedModel(
        written["id"],
        context if context and context > 0 else None,
        owner if isinstance(owner, str) else "",
        bool(written.get("parent")),
    )
