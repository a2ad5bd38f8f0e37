"""A team never is without an active owner, whoever changes it, and in whatever instant."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts import memberships
from accounts.memberships import AlreadyMember, LastOwner, OwnersOnly
from accounts.models import Membership, Team, User


@pytest.mark.either_database
@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_demote_each_other_one_stays(team: Team, owner: User, stranger: User) -> None:
    first = team.memberships.get(user=owner)
    second = memberships.add(team, stranger, "owner", by_role="owner")

    def demote(membership: Membership) -> str:
        try:
            memberships.change_role(team, membership.pk, "viewer", by_role="owner")
        except LastOwner:
            return "refused"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, (first, second))) == ["done", "refused"]
    assert team.memberships.filter(role="owner").count() == 1


@pytest.mark.django_db
def test_an_inactive_owner_does_not_count(team: Team, owner: User, stranger: User) -> None:
    memberships.add(team, stranger, "owner", by_role="owner")
    User.objects.filter(pk=stranger.pk).update(is_active=False)
    with pytest.raises(LastOwner):
        memberships.remove(team, team.memberships.get(user=owner).pk, by_role="owner")


@pytest.mark.django_db
def test_an_admin_touches_no_owner(team: Team, owner: User, member: User) -> None:
    owners, members = team.memberships.get(user=owner).pk, team.memberships.get(user=member).pk
    with pytest.raises(OwnersOnly):
        memberships.remove(team, owners, by_role="admin")
    with pytest.raises(OwnersOnly):
        memberships.change_role(team, members, "owner", by_role="admin")
    assert memberships.change_role(team, members, "admin", by_role="admin").role == "admin"


@pytest.mark.django_db
def test_nobody_is_in_a_team_twice(team: Team, member: User) -> None:
    with pytest.raises(AlreadyMember):
        memberships.add(team, member, "owner", by_role="owner")
    assert team.role_of(member) == "member"


@pytest.mark.django_db
def test_another_teams_member_cannot_be_removed_from_here(team: Team, stranger: User) -> None:
    with pytest.raises(Membership.DoesNotExist):
        memberships.remove(team, stranger.memberships.get().pk, by_role="owner")
