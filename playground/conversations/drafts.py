"""Drafts: each tab keeps its own, and what another tab left is offered, never overwritten."""

from playground import limits
from playground.models import Conversation, Draft


def keep(conversation: Conversation, tab: str, text: str) -> None:
    """Write down what a tab's box holds; an empty one is not kept. Of too many, the oldest go."""
    if not text:
        conversation.drafts.filter(tab=tab).delete()
        return
    Draft.objects.update_or_create(conversation=conversation, tab=tab, defaults={"text": text})
    kept = conversation.drafts.order_by("-updated_at").values_list("pk", flat=True)
    if extra := list(kept[limits.MAX_DRAFTS_PER_CONVERSATION :]):
        conversation.drafts.filter(pk__in=extra).delete()


def sent(conversation: Conversation, tab: str | None, text: str) -> None:
    """Forget what was sent: the tab's own draft, and the same words that another tab was opened with."""
    conversation.drafts.filter(text=text).delete()
    if tab:
        conversation.drafts.filter(tab=tab).delete()


def by_tab(conversation: Conversation) -> dict[str, str]:
    """Return what is typed in each tab, the latest first."""
    return dict(conversation.drafts.order_by("-updated_at").values_list("tab", "text"))
