"""What a query may name in the panel's lists: declared filters and lookups, and nothing that is hidden."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.core.exceptions import SuspiciousOperation
from django.db import models
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts import keys
from accounts.admin.base import MAX_SEARCH_LENGTH, MAX_SEARCH_WORDS, Panel
from accounts.models import Team, User
from inference.models import Endpoint
from tests.console.scenes import model, read

pytestmark = pytest.mark.django_db

REGISTERED = sorted(admin.site._registry, key=str)
SECRET = re.compile("credential|digest|password|session|secret")


def paths(of: type[models.Model], depth: int = 2) -> Iterator[str]:
    """Name every column that can be reached from a model, through relations of both directions."""
    for field in of._meta.get_fields():
        yield field.name
        related: Any = field.related_model if field.is_relation else None
        if depth and isinstance(related, type):
            for inner in paths(related, depth - 1):
                yield f"{field.name}__{inner}"


def filtered(panel: Any) -> set[str]:
    """Name the columns that a list declares filters for."""
    named = [entry[0] if isinstance(entry, tuple) else entry for entry in panel.list_filter]
    return {getattr(entry, "parameter_name", entry) for entry in named}


def asked(user: User, query: dict[str, str]) -> HttpRequest:
    request = RequestFactory().get("/", query)
    request.user = user
    return request


def address_of(of: type[models.Model], **query: str) -> str:
    page = reverse(f"admin:{of._meta.app_label}_{of._meta.model_name}_changelist")
    return f"{page}?{urlencode(query)}" if query else page


@pytest.mark.parametrize("of", REGISTERED, ids=str)
def test_every_list_refuses_what_is_not_declared(of: type[models.Model], panel: Client, operator: User) -> None:
    shown = admin.site._registry[of]
    assert isinstance(shown, Panel)
    assert panel.get(address_of(of)).status_code == 200
    assert panel.get(address_of(of, pk__regex="a")).status_code == 400
    for path in {path for path in paths(of) if path.partition("__")[0] not in filtered(shown)}:
        for lookup in ("", "__startswith", "__regex"):
            with pytest.raises(SuspiciousOperation):
                shown.get_changelist_instance(asked(operator, {path + lookup: "a"}))


@pytest.mark.parametrize("of", REGISTERED, ids=str)
def test_a_column_that_has_a_filter_takes_no_other_lookup(of: type[models.Model], operator: User) -> None:
    shown = admin.site._registry[of]
    for path in {path for path in paths(of) if path.partition("__")[0] in filtered(shown)}:
        for lookup in ("startswith", "regex", "icontains", "gt", "length"):
            with pytest.raises(SuspiciousOperation):
                shown.get_changelist_instance(asked(operator, {f"{path}__{lookup}": "^(a|a)*$"}))


@pytest.mark.parametrize("of", REGISTERED, ids=str)
def test_no_list_searches_sorts_or_filters_by_a_secret(of: type[models.Model]) -> None:
    shown: Any = admin.site._registry[of]
    named = [*shown.search_fields, *shown.list_display, *filtered(shown), *(shown.ordering or ())]
    named += [*shown.named_lookups, shown.date_hierarchy or ""]
    assert not [name for name in map(str, named) if SECRET.search(name)]


def test_a_credential_cannot_be_guessed_through_the_list(enter: Any) -> None:
    Endpoint.objects.create(model=model(), kind="tgi", base_url="http://127.0.0.1:1", credential="hf_secret")
    client = enter("view_endpoint")
    for name in ("credential__startswith", "credential__regex", "model__endpoints__credential__gt", "credential"):
        assert client.get(address_of(Endpoint, **{name: "hf"})).status_code == 400
    assert "0 endpoints" in read(client.get(address_of(Endpoint, q="hf_secret")))


def test_a_pattern_that_never_ends_is_not_even_begun(enter: Any, member: User, team: Team) -> None:
    keys.create(name="a" * 30 + "!", issuer=member, team=team)
    assert enter("view_apikey").get("/admin/accounts/apikey/?name__regex=%5E(a%7Ca)*%24").status_code == 400


def test_a_search_has_few_and_short_words(panel: Client, team: Team) -> None:
    assert "acme" in read(panel.get(address_of(Team, q="acme")))
    for term in ("a " * (MAX_SEARCH_WORDS + 1), "a " * 5_000, "a" * (MAX_SEARCH_LENGTH + 1)):
        response = panel.get(address_of(Team, q=term))
        assert response.status_code == 200
        assert "0 teams" in read(response)


def test_an_order_has_no_more_columns_than_the_list(panel: Client, team: Team) -> None:
    assert panel.get(address_of(Team, o="1.-2")).status_code == 200
    assert panel.get(address_of(Team, o=".".join(["1"] * 3_000))).headers["Location"].endswith("?e=1")


def test_an_object_is_named_by_its_primary_key_alone(panel: Client, team: Team) -> None:
    assert panel.get(address_of(Team, _to_field="id")).status_code == 200
    assert panel.get(address_of(Team, _to_field="slug")).status_code == 400
    assert panel.get(f"/admin/accounts/team/{team.slug}/change/?_to_field=slug").status_code == 400


def test_choices_are_not_searched_without_permission(enter: Any) -> None:
    query = urlencode({"app_label": "inference", "model_name": "price", "field_name": "model", "term": "a"})
    assert enter().get(f"/admin/autocomplete/?{query}").status_code == 403
