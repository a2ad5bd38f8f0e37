"""Inviting a person into a team: nobody is put into one, and an address is never looked up.

InvitationRefused
├── InvitationInvalid     this invitation was used, withdrawn, has expired, or was never made
├── NotInvited            it is for somebody else
└── TooManyInvitations    enough for now
"""

from datetime import timedelta
from typing import Final

from django.core import signing
from django.db import transaction
from django.db.models import QuerySet

from accounts import memberships
from accounts.memberships import MembershipRefused
from accounts.models import Invitation, Membership, Team, User
from accounts.throttle import Throttle
from core import clock

LIFETIME: Final = timedelta(days=7)
MAX_PENDING: Final = 200
_SALT: Final = "accounts.invitations"

# Of one inviter in an hour: each is an e-mail to somebody who did not ask for it.
_inviting = Throttle("invitation", 30, 3_600)


class InvitationRefused(MembershipRefused):
    """Nobody is invited, or comes in."""


class InvitationInvalid(InvitationRefused):
    """This invitation was used, withdrawn, has expired, or was never made."""

    def __init__(self) -> None:
        super().__init__("This invitation is not valid any more. Ask for a new one.")


class NotInvited(InvitationRefused):
    """It is for somebody else."""

    def __init__(self) -> None:
        super().__init__("This invitation is for another e-mail address.")


class TooManyInvitations(InvitationRefused):
    """Enough for now."""

    def __init__(self) -> None:
        super().__init__("That is enough invitations for now. Try again later.")


def invite(team: Team, email: str, role: str, *, inviter: User, by_role: str) -> Invitation:
    """Invite whoever has an address, again if that was done before. Raises MembershipRefused.

    Whether anybody here has the address makes no difference. A member's is refused, which the team sees anyway.
    """
    memberships.check_may_give(role, by_role)
    member = team.memberships.filter(user__email=email.lower()).select_related("user").first()
    if member:
        raise memberships.AlreadyMember(member.user)
    if _inviting.take(str(inviter.pk)) or pending(team).count() >= MAX_PENDING:
        raise TooManyInvitations
    invitation, _ = Invitation.objects.update_or_create(
        team=team,
        email=email.lower(),
        accepted_at=None,
        defaults={"role": role, "inviter": inviter, "expires_at": clock.now() + LIFETIME},
    )
    return invitation


def pending(team: Team) -> "QuerySet[Invitation]":
    """Return a team's invitations that can still be accepted."""
    return team.invitations.filter(accepted_at=None, expires_at__gt=clock.now()).order_by("email")


def token_of(invitation: Invitation) -> str:
    """Return what a link to the invitation has in it; only its e-mail may say it."""
    return signing.dumps([invitation.pk, invitation.email], salt=_SALT)


def find(token: str) -> Invitation:
    """Return the invitation of a link. Raises InvitationInvalid."""
    try:
        invitation_id, email = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        raise InvitationInvalid from None
    found = Invitation.objects.filter(pk=invitation_id, email=email, accepted_at=None, expires_at__gt=clock.now())
    invitation = found.select_related("team", "inviter").first()
    if invitation is None or not _still_stands(invitation):
        raise InvitationInvalid
    return invitation


@transaction.atomic
def accept(token: str, user: User) -> Membership:
    """Let the invited person into the team, once. Raises MembershipRefused."""
    invitation = find(token)
    if user.email != invitation.email or not user.is_active:
        raise NotInvited
    used = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=clock.now())
    if not used:
        raise InvitationInvalid
    return memberships.add(invitation.team, user, invitation.role, by_role=Membership.Role.OWNER)


def withdraw(team: Team, invitation_id: int) -> bool:
    """Take an invitation back. Tell whether there was one to be taken back."""
    deleted, _ = pending(team).filter(pk=invitation_id).delete()
    return deleted > 0


def _still_stands(invitation: Invitation) -> bool:
    """Whether the inviter could still invite somebody so: whoever lost that power gave nobody a way in."""
    inviter = invitation.inviter
    if not inviter.is_active:
        return False
    role = invitation.team.role_of(inviter)
    return role in Membership.MANAGING_ROLES and memberships.may_give(invitation.role, role)
