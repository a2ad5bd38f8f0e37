"""A command to try a new key with."""

from django import template

from accounts.models import DEFAULT_PROJECT, ApiKey
from inference.models import Model
from web import snippets

register = template.Library()


@register.simple_tag
def try_key(key: ApiKey, secret: str) -> str:
    """Return a command that streams an answer from the first model that can be called."""
    models = Model.objects.callable().order_by("-released_on", "id")
    model = next((each for each in models if not each.reads), None)
    project = key.project.slug if key.project else DEFAULT_PROJECT
    return snippets.curl(snippets.greeting(model.pk if model else "owner/model"), f"{key.team.slug}/{project}", secret)
