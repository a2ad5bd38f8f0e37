"""Changing who is in a team, and as what, so that it never is without an active owner.

Each function locks the team first: of two owners who demote each other in the same instant, one stays.

MembershipRefused (see also ``accounts.invitations``)
├── LastOwner        the team would be left without an active owner
├── OwnersOnly       only an owner makes and unmakes owners
└── AlreadyMember    this person is in the team
"""

from django.db import transaction

from accounts.models import Membership, Team, User

OWNER = Membership.Role.OWNER


class MembershipRefused(Exception):
    """The team stays as it was."""


class LastOwner(MembershipRefused):
    """The team would be left without an active owner."""

    def __init__(self) -> None:
        super().__init__("A team needs an owner: make somebody else one first.")


class OwnersOnly(MembershipRefused):
    """Only an owner makes and unmakes owners."""

    def __init__(self) -> None:
        super().__init__("Only an owner may make or unmake owners.")


class AlreadyMember(MembershipRefused):
    """This person is in the team."""

    def __init__(self, user: User) -> None:
        super().__init__(f"{user} is in this team already.")


@transaction.atomic
def add(team: Team, user: User, role: str, *, by_role: str) -> Membership:
    """Put a person into the team. Raises OwnersOnly or AlreadyMember."""
    _lock(team)
    check_may_give(role, by_role)
    membership, is_new = team.memberships.get_or_create(user=user, defaults={"role": role})
    if not is_new:
        raise AlreadyMember(user)
    return membership


@transaction.atomic
def change_role(team: Team, membership_id: int, role: str, *, by_role: str) -> Membership:
    """Give a member another role. Raises Membership.DoesNotExist, OwnersOnly or LastOwner."""
    _lock(team)
    membership = team.memberships.select_related("user").get(pk=membership_id)
    check_may_give(role, by_role)
    check_may_give(membership.role, by_role)
    if role != OWNER:
        _check_stays_owned(team, membership)
    membership.role = role
    membership.save(update_fields=["role"])
    return membership


@transaction.atomic
def remove(team: Team, membership_id: int, *, by_role: str) -> Membership:
    """Take a person out of the team; their keys there stop within a second. Raises as ``change_role`` does."""
    _lock(team)
    membership = team.memberships.select_related("user").get(pk=membership_id)
    check_may_give(membership.role, by_role)
    _check_stays_owned(team, membership)
    membership.delete()
    return membership


def _lock(team: Team) -> None:
    Team.objects.select_for_update().get(pk=team.pk)


def may_give(role: str, by_role: str | None) -> bool:
    """Whether somebody of one role may give or take another: none but owners make or unmake one."""
    return role != OWNER or by_role == OWNER


def check_may_give(role: str, by_role: str) -> None:
    """Refuse what ``may_give`` does not allow. Raises OwnersOnly."""
    if not may_give(role, by_role):
        raise OwnersOnly


def _check_stays_owned(team: Team, leaving: Membership) -> None:
    """Refuse to let the last active owner go."""
    others = team.memberships.filter(role=OWNER, user__is_active=True).exclude(pk=leaving.pk)
    if leaving.role == OWNER and not others.exists():
        raise LastOwner
