"""Every address of the site is found, classified here, and asked for in many ways by someone who may do everything.

What has an engine generate is metered, and all else has it generate nothing.
"""

import json
from datetime import timedelta
from typing import Any, Final

import httpx2
import pytest
from django.conf import settings as site_settings
from django.contrib.admin.utils import quote
from django.contrib.contenttypes.models import ContentType

from accounts import keys
from accounts.models import ApiKey, BrowserSession, Project, Team, User
from api.kept.models import StoredResponse
from core import clock
from credits.budgets import limits
from credits.budgets.rows import PROJECT
from credits.models import Hold
from inference.models import Run
from playground.models import Conversation, Message, Preset
from tests.inference.scenes import DOLLAR, HELLO, MODEL
from tests.patience import until
from tests.playground.cast import browser
from tests.proofs.entry_points import Way, http_ways, protocols
from tests.proofs.recording_engine import RecordingEngine, check_metered
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)

# Classify a new address here: METERED if it can have an engine generate, for which everything below must hold.
METERED: Final = {"/v1/chat/completions", "/v1/messages", "/v1/responses"}
# What a TGI has no such address for, so that none of them generates here; tests/api/test_completions.py and
# tests/api/test_embeddings.py look at their holds and charges on engines that have one.
METERED_ELSEWHERE: Final = {"/v1/completions", "/v1/embeddings", "/v1/rerank"}
SILENT: Final = {
    "/",
    "/models/<path:model_id>",
    "/docs/<slug:slug>",
    "/playground",
    "/playground/balance",
    "/playground/code",
    "/playground/conversations",
    "/playground/conversations/<uuid:pk>",
    "/playground/conversations/<uuid:pk>/branch",
    "/playground/conversations/<uuid:pk>/clear",
    "/playground/conversations/<uuid:pk>/code",
    "/playground/conversations/<uuid:pk>/columns",
    "/playground/conversations/<uuid:pk>/export",
    "/playground/conversations/<uuid:pk>/images",
    "/playground/conversations/<uuid:pk>/messages",
    "/playground/conversations/<uuid:pk>/messages/<uuid:message>",
    "/playground/conversations/<uuid:pk>/messages/<uuid:message>/recovered",
    "/playground/conversations/<uuid:pk>/restore",
    "/playground/conversations/import",
    "/playground/images/<uuid:pk>",
    "/playground/notices",
    "/playground/parameters",
    "/playground/presets",
    "/playground/presets/<uuid:pk>",
    "/playground/presets/<uuid:pk>/versions/<int:number>",
    "/v1/",
    "/v1/messages/count_tokens",
    "/v1/openapi.json",
    "/v1/responses/input_tokens",
    "/v1/responses/<str:name>",
    "/v1/responses/<str:name>/cancel",
    "/v1/responses/<str:name>/input_items",
    "/v1/models",
    "/v1/models/<path:model_id>",
    "/v1/receipts",
    "/v1/receipts/<str:request_id>",
    "/v1/usage",
    "/metrics",
    "/health",
    "/healthz",
    "/readyz",
    "/login",
    "/logout",
    "/console/",
    "/console/keys",
    "/console/password",
    "/console/sessions",
    "/console/sessions/end-others",
    "/console/sessions/<int:session_id>/end",
    "/console/second-factor",
    "/console/second-factor/change",
    "/invitation",
    "/alert-address",
    "/login/code",
    "/console/teams/<str:team>/",
    "/console/teams/<str:team>/usage.csv",
    "/console/teams/<str:team>/runs",
    "/console/teams/<str:team>/receipts/<str:request_id>",
    "/console/teams/<str:team>/billing",
    "/console/teams/<str:team>/billing/budgets/add",
    "/console/teams/<str:team>/billing/budgets/<int:budget_id>",
    "/console/teams/<str:team>/billing/budgets/<int:budget_id>/remove",
    "/console/teams/<str:team>/billing/ledger",
    "/console/teams/<str:team>/billing/ledger.csv",
    "/console/teams/<str:team>/billing/ledger.jsonl",
    "/console/teams/<str:team>/billing/alerts",
    "/console/teams/<str:team>/billing/alerts/low-balance",
    "/console/teams/<str:team>/billing/alerts/addresses",
    "/console/teams/<str:team>/billing/alerts/own",
    "/console/teams/<str:team>/keys",
    "/console/teams/<str:team>/keys/<str:key_id>/revoke",
    "/console/teams/<str:team>/people",
    "/console/teams/<str:team>/people/invite",
    "/console/teams/<str:team>/people/invitations/<int:invitation_id>/withdraw",
    "/console/teams/<str:team>/people/<int:membership_id>/role",
    "/console/teams/<str:team>/people/<int:membership_id>/remove",
    "/console/teams/<str:team>/projects",
    "/admin/",
    "/admin/login/",
    "/admin/logout/",
    "/admin/password_change/",
    "/admin/password_change/done/",
    "/admin/autocomplete/",
    "/admin/jsi18n/",
    "/admin/r/<path:content_type_id>/<path:object_id>/",
    "/admin/^(?P<app_label>accounts|admin|auth|credits|inference)/$",
    "/admin/(?P<url>.*)$",
    "/admin/admin/logentry/",
    "/admin/auth/group/",
    "/admin/accounts/user/",
    "/admin/accounts/user/<id>/password/",
    "/admin/accounts/team/",
    "/admin/accounts/project/",
    "/admin/accounts/apikey/",
    "/admin/accounts/apikey/revoke/",
    "/admin/credits/account/",
    "/admin/credits/alert/",
    "/admin/credits/budget/",
    "/admin/credits/entry/",
    "/admin/credits/hold/",
    "/admin/credits/plan/",
    "/admin/credits/plan/give/",
    "/admin/credits/post/",
    "/admin/inference/alias/",
    "/admin/inference/concurrencylimit/",
    "/admin/inference/endpoint/",
    "/admin/inference/endpoint/hosted/",
    "/admin/inference/model/",
    "/admin/inference/price/",
    "/admin/inference/run/",
}


def test_every_address_is_classified() -> None:
    found = {way.name for way in http_ways()}
    assert found == METERED | METERED_ELSEWHERE | SILENT, "classify what is new in this file, as METERED or as SILENT"
    assert not (METERED | METERED_ELSEWHERE) & SILENT
    assert protocols() == {"http", "websocket", "lifespan"}


REQUESTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("GET", {}),
    ("POST", {"json": {"model": MODEL, "messages": HELLO, "max_tokens": 3}}),
    ("POST", {"json": {"model": MODEL, "messages": HELLO, "stream": True}}),
    ("POST", {"json": {"type": "send", "ref": "1", "model": MODEL, "prompt": "Hello", "inputs": "Hello"}}),
    ("POST", {"data": {"model": MODEL, "content": "Hello", "prompt": "Hello", "messages": json.dumps(HELLO)}}),
    ("POST", {"json": {"model": MODEL, "input": "Hello"}}),
    ("POST", {"json": {"model": MODEL, "input": "Hello", "stream": True, "background": True}}),
    ("PUT", {"json": {"model": MODEL, "messages": HELLO}}),
    ("PATCH", {"json": {"draft": "Hello"}}),
    ("DELETE", {}),
)


@pytest.mark.timeout(600)
def test_every_address_that_has_an_engine_generate_is_metered(
    engine: RecordingEngine, operator: User, team: Team, project: Project, member: User
) -> None:
    secret = keys.create(name="tests", issuer=operator, team=team, project=project)[1]
    generating = set()
    with Server() as site, httpx2.Client(base_url=site.url, timeout=60) as client:
        # What is metered comes first: the others have a run to show, then.
        for way in sorted(http_ways(), key=lambda way: way.name not in METERED):
            address = way.address(_values(way, operator, project, member))
            headers = _credentials(site, operator, secret)
            for method, content in REQUESTS:
                before = len(engine.generations)
                answer = client.request(method, address, headers=headers, **content)
                # What broke down on the way proves nothing.
                assert answer.status_code < 500, f"{method} {address}"
                if len(engine.generations) > before:
                    generating.add(way.name)
        until(lambda: not Hold.objects.filter(state=Hold.State.OPEN).exists())
        assert generating == METERED
        check_metered(engine, team)


def _credentials(site: Server, operator: User, secret: str) -> dict[str, str]:
    """Have a key, and be signed in: anew for each address, because some sign people out."""
    session = browser(operator).cookies[site_settings.SESSION_COOKIE_NAME].value
    token = "x" * 32
    return {
        "authorization": f"Bearer {secret}",
        "cookie": f"{site_settings.SESSION_COOKIE_NAME}={session}; {site_settings.CSRF_COOKIE_NAME}={token}",
        "x-csrftoken": token,
        "origin": site.url,
    }


def _values(way: Way, operator: User, project: Project, member: User) -> dict[str, str]:
    """Return what to put into an address: things that are there, though an earlier request may have removed them."""
    team = project.team
    membership, _ = team.memberships.get_or_create(user=member, defaults={"role": "member"})
    conversation, _ = Conversation.objects.get_or_create(user=operator, project=project, model=MODEL)
    # Whatever an earlier request deleted would still have its place.
    Message.with_deleted.filter(conversation=conversation).delete()
    message = Message.objects.create(conversation=conversation, position=1, role="user", content="Hello")
    # A preset under the conversation's own id: both are a ``pk``.
    preset, _ = Preset.objects.get_or_create(
        pk=conversation.pk, defaults={"project": project, "name": str(conversation.pk)}
    )
    preset.versions.get_or_create(number=1, model=MODEL)
    spare = ApiKey.objects.filter(name="spare", revoked_at=None).first()
    if spare is None:
        spare = keys.create(name="spare", issuer=operator, team=team, project=project)[0]
    budget = limits.set_budget(team.pk, scope=PROJECT, reference=str(project.pk), period="day", limit_nano=DOLLAR)
    invited = {"role": "member", "inviter": operator, "expires_at": clock.now() + timedelta(days=1)}
    invitation, _ = team.invitations.get_or_create(email="a@example.org", accepted_at=None, defaults=invited)
    used = {"user": operator, "used_at": clock.now()}
    session, _ = BrowserSession.objects.get_or_create(session_key="x" * 32, defaults=used)
    rows = way.panel.model._default_manager.values_list("pk", flat=True) if way.panel else [team.pk]
    return {
        "team": team.slug,
        "request_id": f"req_{Run.objects.values_list('pk', flat=True).first() or '0' * 32}",
        "name": f"resp_{StoredResponse.objects.values_list('pk', flat=True).first() or '0' * 32}",
        "budget_id": str(budget.pk),
        "key_id": spare.pk,
        "membership_id": str(membership.pk),
        "invitation_id": str(invitation.pk),
        "session_id": str(session.pk),
        "model_id": MODEL,
        "slug": "errors",
        "pk": str(conversation.pk),
        "message": str(message.pk),
        "number": "1",
        "id": str(member.pk),
        "object_id": quote(str(next(iter(rows), 1))),
        "content_type_id": str(ContentType.objects.get_for_model(Team).pk),
        "app_label": "accounts",
        "url": "nowhere",
    }
