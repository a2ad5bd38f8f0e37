"""E-mails that ask somebody for something: to come into a team, or to hear of its alerts."""

import logging
from urllib.parse import urlencode

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from accounts import invitations
from accounts.models import Invitation, Team
from console.alerts.email import stop_address

logger = logging.getLogger(__name__)


def invitation(invited: Invitation) -> EmailMessage:
    """Write to whoever was invited into a team."""
    return _email(
        invited.email,
        f"[Parley] {invited.inviter} invites you to the team {invited.team}",
        f"{invited.inviter} invites you to the team {invited.team} on {settings.PUBLIC_URL}, "
        f"as its {invited.get_role_display().lower()}.",
        f"To accept, open this link before {invited.expires_at:%Y-%m-%d %H:%M} UTC; it works once:\n"
        f"{settings.PUBLIC_URL}{reverse('console:invitation')}?{urlencode({'token': invitations.token_of(invited)})}",
        "If you do not know what this is about, do nothing: you are in no team unless you accept.",
    )


def address_confirmation(team: Team, email: str) -> EmailMessage:
    """Write to an address that somebody wants to be told of a team's alerts."""
    return _email(
        email,
        f"[Parley] Alerts of the team {team}",
        f"Somebody who manages the team {team} on {settings.PUBLIC_URL} wants this address to be told when its credits "
        "run low.",
        f"If that is right, say so here:\n{stop_address(team, email)}",
        "If not, do nothing: no alert is sent to you.",
    )


def send(email: EmailMessage) -> bool:
    """Send an e-mail. Tell whether the mail server took it."""
    try:
        return email.send() > 0
    except OSError as error:
        logger.warning("An e-mail was not sent: %s", error)
        return False


def _email(to: str, subject: str, *paragraphs: str) -> EmailMessage:
    return EmailMessage(
        subject,
        "\n\n".join(paragraphs) + "\n",
        from_email=f"Parley <{settings.DEFAULT_FROM_EMAIL}>",
        to=[to],
        headers={"Auto-Submitted": "auto-generated"},
    )
