"""What the rooms' pages in the admin panel have in common.

A list is narrowed by its declared filters and lookups and by nothing else: Django's own rule, any lookup of any column,
lets whoever may look at a list read hidden columns letter by letter (``?credential__startswith=``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest

__all__ = ["LabelledFormSet", "Panel", "ReadOnlyInline", "ReadOnlyPanel", "Rows"]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:  # not generic at run time
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline

ROWS_PER_PAGE = 50
MAX_SEARCH_LENGTH: Final = 200
# Each word is looked for in every searched column.
MAX_SEARCH_WORDS: Final = 8


class NamedLookupsList(ChangeList):
    """A list that refuses every query parameter which no declared filter or lookup takes."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Return Django's filters. Raises DisallowedModelAdminLookup for what they leave over."""
        found = super().get_filters(request)
        panel = cast(Panel, self.model_admin)
        if unknown := found[2].keys() - set(panel.named_lookups):
            raise DisallowedModelAdminLookup(f"Filtering by {', '.join(sorted(unknown))} not allowed")
        return found

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[Any]") -> list[Any]:
        """Return the order. Raises IncorrectLookupParameters for more columns than the list has."""
        if self.params.get("o", "").count(".") >= len(self.list_display):
            raise IncorrectLookupParameters
        return list(super().get_ordering(request, queryset))


class Panel(_ModelAdmin):
    """A model's pages: what a query may name is declared, and how much it may ask is bounded."""

    list_per_page = ROWS_PER_PAGE
    # Counting all rows again, beside those that were searched for, costs a second at a million.
    show_full_result_count = False
    # Lookups that links of ours use, beside those of ``list_filter``.
    named_lookups: ClassVar[Sequence[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that refuses what is not declared."""
        return NamedLookupsList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Leave the decision to the list, which knows what its filters take."""
        return True

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Let an object be named by its primary key alone."""
        return bool(to_field == self.opts.pk.name)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> "tuple[QuerySet[Any], bool]":
        """Search for so many words, and for nothing where there are more."""
        if len(search_term) > MAX_SEARCH_LENGTH or len(search_term.split()) > MAX_SEARCH_WORDS:
            return queryset.none(), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
        return found


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
