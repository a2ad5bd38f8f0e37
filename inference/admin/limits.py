"""How many requests may be in flight at once, set in the admin panel for a project or a person."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.admin.base import Panel
from accounts.models import Project, User
from inference.models import ConcurrencyLimit


class LimitForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """The limit of somebody who has one."""

    class Meta:
        model = ConcurrencyLimit
        fields = ["requests"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # One who may only look gets no field.
        if field := self.fields.get("requests"):
            field.help_text = (
                f"Without a limit here: {settings.PROJECT_CONCURRENCY} for a project (PROJECT_CONCURRENCY), "
                f"{settings.USER_CONCURRENCY} for a person in all projects (USER_CONCURRENCY)."
            )


class NewLimitForm(LimitForm):
    """A limit for somebody who has none."""

    holder = forms.CharField(
        label="Whose requests", max_length=254, help_text="A project as team/project, or a person by e-mail address."
    )

    def clean_holder(self) -> Project | User:
        """Find who is meant, and that there is no limit yet."""
        name: str = self.cleaned_data["holder"]
        team, slash, slug = name.partition("/")
        holder: Project | User | None = None
        if "@" in name:
            holder = User.objects.filter(email=name.lower()).first()
        elif slash:
            holder = Project.objects.filter(team__slug=team, slug=slug).first()
        if holder is None:
            raise ValidationError(f"There is no project and no person {name!r}.")
        if hasattr(holder, "concurrency_limit"):
            raise ValidationError(f"{holder} has a limit already: change that one.")
        return holder

    def clean(self) -> dict[str, Any]:
        """Put the holder into the limit."""
        cleaned = super().clean() or self.cleaned_data
        holder = cleaned.get("holder")
        self.instance.project = holder if isinstance(holder, Project) else None
        self.instance.user = holder if isinstance(holder, User) else None
        return cleaned


@admin.register(ConcurrencyLimit)
class ConcurrencyLimitPanel(Panel):
    """Those who may have more, or fewer, requests in flight than the settings say; it holds within a second."""

    list_display = ["holder", "requests"]
    list_select_related = ["project__team", "user"]
    search_fields = ["=user__email", "=project__slug", "=project__team__slug"]
    ordering = ["project__team__slug", "project__slug", "user__email"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Ask whose a new limit is; it stays theirs."""
        return super().get_form(request, obj, change, **kwargs, form=LimitForm if obj else NewLimitForm)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show whose it is."""
        return ["holder", "requests"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Let only the number be changed."""
        return ["holder"] if obj else []

    def save_model(self, request: HttpRequest, obj: ConcurrencyLimit, form: Any, change: bool) -> None:
        """Set the limit; of two forms in the same instant, the last one holds."""
        kept, _ = ConcurrencyLimit.objects.update_or_create(
            {"requests": obj.requests}, project=obj.project, user=obj.user
        )
        obj.pk = kept.pk

    @admin.display(description="whose requests")
    def holder(self, limit: ConcurrencyLimit) -> str:
        """Return whose requests are counted."""
        return f"project {limit.project}" if limit.project else f"user {limit.user}"
