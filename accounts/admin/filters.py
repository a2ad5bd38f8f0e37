"""What lists in the admin panel are narrowed by."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import EmptyFieldListFilter


class HappenedFilter(EmptyFieldListFilter):
    """Whether something has happened, asked of its moment: of ``revoked_at``, "Revoked: yes or no"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = str(self.title).removesuffix(" at")

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Call an empty moment No."""
        for choice in super().choices(changelist):
            yield choice | {"display": str(choice["display"]).replace("Not empty", "Yes").replace("Empty", "No")}
