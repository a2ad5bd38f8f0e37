"""The pages under ``/docs``: the Markdown files of ``docs/``, rendered without raw HTML."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# The site that the files speak of: what ``make run`` starts.
PRINTED_SITE = "http://127.0.0.1:8000"
# A link to a file that is a page, and links that are no files at all.
_PAGE = re.compile(r"[\w-]+\.md(#.*)?")
_ELSEWHERE = re.compile(r"#|/|[a-z]+:")


class Document(NamedTuple):
    """One page of documentation."""

    slug: str
    title: str
    html: SafeString


def documents(site: str) -> dict[str, Document]:
    """Return all pages by name, with ``site`` as this site's address.

    They are found by what is there, so nothing from an address becomes a path.
    """
    pages = sorted((settings.BASE_DIR / "docs").glob("*.md"))
    return {path.stem: _rendered(path, path.stat().st_mtime_ns, site) for path in pages}


@lru_cache(maxsize=64)
def _rendered(path: Path, changed_ns: int, site: str) -> Document:
    """Render once for each version of the file: ``changed_ns`` is part of the cache's key."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8").replace(PRINTED_SITE, site))
    headings = _headings(tokens)
    for heading, text in headings:
        heading.attrSet("id", _anchor(text))
    # A page may have several parts; its name is the first one's.
    title = next((text for heading, text in headings if heading.tag == "h1"), path.stem)
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
    """Let links from file to file lead from page to page; one to a file that is no page becomes the words alone."""
    for token in tokens:
        kept: list[Token] = []
        # Links do not nest: the next end is the dropped one's.
        is_dropping = False
        for child in token.children or []:
            if child.type == "link_open":
                href = str(child.attrGet("href"))
                if _PAGE.fullmatch(href):
                    child.attrSet("href", href.replace(".md", "", 1))
                is_dropping = not _PAGE.fullmatch(href) and not _ELSEWHERE.match(href)
            if not (is_dropping and child.type in ("link_open", "link_close")):
                kept.append(child)
        if token.children:
            token.children = kept


def _anchor(text: str) -> str:
    """Return the id that GitHub gives such a heading, so that links work in both places."""
    return re.sub(r"[^\w -]", "", text.lower()).strip().replace(" ", "-")
