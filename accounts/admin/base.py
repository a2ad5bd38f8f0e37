"""What the rooms' pages in the admin panel have in common."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

__all__ = ["LabelledFormSet", "Panel", "ReadOnlyInline", "ReadOnlyPanel", "Rows"]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:  # not generic at run time
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline

ROWS_PER_PAGE = 50


class Panel(_ModelAdmin):
    """A model's pages."""

    list_per_page = ROWS_PER_PAGE
    # Counting all rows again, beside those that were searched for, costs a second at a million.
    show_full_result_count = False


class LabelledFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg] # not generic at run time
    """Rows whose fields say what they are, also to those who cannot see the column's heading."""

    def add_fields(self, form: Any, index: int | None) -> None:
        """Name each field."""
        super().add_fields(form, index)
        for name, field in form.fields.items():
            field.widget.attrs.setdefault("aria-label", field.label or name.capitalize())


class Rows(_TabularInline):
    """A model's rows on another model's page."""

    extra = 0
    formset = LabelledFormSet
    template = "admin/rows.html"


class _NeverWritten:
    """What the panel shows and never writes, whatever the operator's permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


class ReadOnlyPanel(_NeverWritten, Panel):
    """Pages to look at."""


class ReadOnlyInline(_NeverWritten, Rows):
    """Rows to look at."""

    can_delete = False
