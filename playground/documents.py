"""The pages under ``/docs``: the Markdown files of ``docs/``, rendered without raw HTML."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token


class Document(NamedTuple):
    """One page of documentation."""

    slug: str
    title: str
    html: SafeString


def documents() -> dict[str, Document]:
    """Return all pages by name: they are found by what is there, so nothing from an address becomes a path."""
    pages = sorted((settings.BASE_DIR / "docs").glob("*.md"))
    return {path.stem: _rendered(path, path.stat().st_mtime_ns) for path in pages}


@lru_cache(maxsize=64)
def _rendered(path: Path, changed_ns: int) -> Document:
    """Render once for each version of the file: ``changed_ns`` is part of the cache's key."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    title = path.stem
    for heading, text in _headings(tokens):
        heading.attrSet("id", _anchor(text))
        if heading.tag == "h1":
            title = text
    _point_inside(tokens)
    html = markdown.renderer.render(tokens, markdown.options, {})
    # Safe, because without the option ``html`` the renderer escapes all raw HTML.
    return Document(path.stem, title, mark_safe(html))


def _headings(tokens: list[Token]) -> list[tuple[Token, str]]:
    """Return each heading with its plain text, which follows it."""
    return [
        (token, "".join(child.content for child in tokens[index + 1].children or []))
        for index, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def _point_inside(tokens: list[Token]) -> None:
    """Let links from file to file lead from page to page."""
    for child in (child for token in tokens for child in token.children or []):
        href = child.attrGet("href") if child.type == "link_open" else None
        if isinstance(href, str) and re.fullmatch(r"[\w-]+\.md(#.*)?", href):
            child.attrSet("href", href.replace(".md", "", 1))


def _anchor(text: str) -> str:
    """Return the id that GitHub gives such a heading, so that links work in both places."""
    return re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-")
