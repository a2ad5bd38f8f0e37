"""Models' names where Anthropic's clients know them: without a slash, and beginning as they expect it."""

from typing import Final

from inference.catalog.snapshots import Catalog

# Claude Code offers models whose ids begin so.
PREFIX: Final = "anthropic--"
# As Hugging Face's own cache writes the slash of an id.
_SLASH: Final = "--"


def name_of(model_id: str) -> str:
    """Return what a model is called in Anthropic's list."""
    return PREFIX + model_id.replace("/", _SLASH, 1)


def id_in(name: str) -> str:
    """Return the id that such a name, or one without its beginning, is made of."""
    return name.removeprefix(PREFIX).replace(_SLASH, "/", 1)


async def model_named(catalog: Catalog, name: str) -> str:
    """Return the id of the model, or the alias, that is meant; the name itself where there is none."""
    return name if await catalog.has(name) or not await catalog.has(id_in(name)) else id_in(name)
