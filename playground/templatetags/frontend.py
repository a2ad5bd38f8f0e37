"""Puts the built front end into a page: stylesheets, preloads and the module script of one entry."""

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

log = logging.getLogger(__name__)
register = template.Library()

Manifest = dict[str, dict[str, Any]]


@register.simple_tag
def frontend_assets(entry: str) -> SafeString:
    """The tags that load ``frontend/src/entries/<entry>.ts``; nothing while the front end has not been built."""
    manifest = _manifest()
    key = f"frontend/src/entries/{entry}.ts"
    if key not in manifest:
        log.error("The front end has no entry %r: build it with `python frontend/build.py`.", entry)
        return mark_safe("")
    chunks = _with_imports(manifest, key)
    styles = dict.fromkeys(css for chunk in chunks for css in chunk.get("css", []))
    script, *preloads = (chunk["file"] for chunk in chunks)
    tags = [
        *(format_html('<link rel="stylesheet" href="{}">', _built(css)) for css in styles),
        *(format_html('<link rel="modulepreload" href="{}">', _built(js)) for js in preloads),
        format_html('<script type="module" src="{}"></script>', _built(script)),
    ]
    # Every piece was escaped by format_html above.
    return mark_safe("\n".join(tags))


@register.simple_tag
def hashed_static(name: str) -> str:
    """The address of a file of ``static/``, with its hash in it once the front end has been built."""
    built = _manifest().get(f"static/{name}")
    return _built(built["file"]) if built else static(name)


def _built(file: str) -> str:
    return static(f"build/{file}")


def _with_imports(manifest: Manifest, key: str) -> list[dict[str, Any]]:
    """The entry's chunk first, then every chunk that it imports at once, each a single time."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [key]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = manifest[name]
            waiting.extend(manifest[name].get("imports", []))
    return list(found.values())


def _manifest() -> Manifest:
    path = Path(settings.BASE_DIR) / "static" / "build" / "manifest.json"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=1)
def _read(path: Path, changed_ns: int) -> Manifest:
    """Read once for each build: ``changed_ns`` is part of the cache's key, so a rebuild shows without a restart."""
    manifest: Manifest = json.loads(path.read_text())
    return manifest


@register.filter
def token_count(tokens: int) -> str:
    """A context length as people say it: 131072 is 128K, 200000 is 200K, 1048576 is 1M."""
    for size, unit in ((1_048_576, "M"), (1_000_000, "M"), (1_024, "K"), (1_000, "K")):
        if tokens >= size and tokens % size == 0:
            return f"{tokens // size}{unit}"
    return f"{tokens:,}" if tokens < 10_000 else f"{tokens / 1000:.0f}K"


@register.filter
def parameter_count(parameters: int) -> str:
    """A model's size as people say it: 8030261248 is 8.0B."""
    if parameters >= 1_000_000_000:
        return f"{parameters / 1_000_000_000:.1f}B"
    return f"{parameters / 1_000_000:.0f}M"


@register.filter
def feature_name(feature: str) -> str:
    """A feature as people say it: ``structured_output`` is "Structured output", ``json_mode`` "JSON mode"."""
    words = feature.replace("_", " ")
    return words[:1].upper() + words[1:] if not words.startswith("json") else "JSON" + words[4:]
