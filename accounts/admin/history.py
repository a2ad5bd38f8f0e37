"""What operators did in the admin panel, budgets that are gone included."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from accounts.admin.base import ReadOnlyPanel


@admin.register(LogEntry)
class HistoryPanel(ReadOnlyPanel):
    """The history of everything in the panel, the latest first."""

    list_display = ["action_time", "user", "content_type", "object_repr", "said"]
    list_filter = ["action_time", "action_flag", "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["=user__email", "object_repr", "change_message"]
    ordering = ["-action_time", "-pk"]
    fields = ["action_time", "user", "content_type", "object_repr", "said"]

    @admin.display(description="what was done")
    def said(self, entry: LogEntry) -> str:
        """Return the sentence that a page left, or Django's own."""
        return entry.get_change_message() or entry.get_action_flag_display()
