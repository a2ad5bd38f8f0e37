"""Repairs of Django's tables."""

import re

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_REPAIRS = {
    '<th class="original"></th>': '<td class="original"></td>',
    "<th></th>": "<td></td>",
    'class="js-inline-admin-formset inline-group"': 'class="js-inline-admin-formset inline-group" tabindex="0"',
}

# Between the parts of team/project, owner/model and name@host.name, in text only: within a tag, ">" is the next.
_JOINT = re.compile(r"(?<=\w[/@.])(?=[A-Za-z]\w[^<>]*<)")


@register.filter
def breakable(table: str) -> SafeString:
    """Let identifiers break between their parts, and not only in the middle of a word, where a column is narrow."""
    # As below: it was escaped already.
    return mark_safe(_JOINT.sub("<wbr>", table))


@register.filter
def repaired(table: str) -> SafeString:
    """Make Django's table of rows usable without seeing it and without a mouse.

    Its empty headings become plain cells: a screen reader would announce columns without a name. Its box, which scrolls
    where it is narrow, can be reached by the keyboard.
    """
    for theirs, ours in _REPAIRS.items():
        table = table.replace(theirs, ours)
    # What came in was escaped by Django's own template; only constant text was put in.
    return mark_safe(table)
