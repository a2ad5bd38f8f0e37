import pytest

from accounts import keys
from accounts.errors import IdentityError, ProjectOutsideScope, RoleMayNotCall, UnknownUser
from accounts.models import Membership, Project, Team, User
from tests.accounts.scenes import outcome, until_remembered
from tests.patience import eventually, within

pytestmark = [pytest.mark.either_database, pytest.mark.django_db(transaction=True)]


def test_who_may_call_from_the_browser(owner: User, member: User, viewer: User, stranger: User, team: Team) -> None:
    operator = User.objects.create_superuser("operator@example.org")
    expected: dict[User, type[IdentityError] | None] = {
        owner: None,
        member: None,
        viewer: RoleMayNotCall,
        stranger: ProjectOutsideScope,
        operator: None,
        User(pk=0): UnknownUser,
    }
    actual = {user: outcome(lambda user=user: keys.authorize(user, "acme/inference")) for user in expected}  # type: ignore[misc]
    assert actual == expected


def test_a_browser_caller_has_no_key(member: User, project: Project) -> None:
    caller = keys.authorize(member, "acme/inference")
    assert (caller.key_id, caller.user_id, caller.project_id) == ("", member.pk, project.pk)


@pytest.mark.parametrize(
    "path", ["", "acme", "acme/nothing", "acme/inference/", "acme/inf\0erence", "elsewhere/inference"]
)
def test_a_path_that_is_no_project_of_his_is_refused(member: User, stranger: User, path: str) -> None:
    assert outcome(lambda: keys.authorize(member, path)) is ProjectOutsideScope


def test_a_viewer_cannot_spend_though_he_is_told_why(viewer: User) -> None:
    with pytest.raises(RoleMayNotCall, match="may look, but not call models"):
        keys.authorize(viewer, "acme/inference")


def test_a_member_made_viewer_removed_or_inactive_stops_within_a_second(member: User, team: Team) -> None:
    def ask() -> object:
        return keys.authorize(member, "acme/inference")

    until_remembered(ask)
    membership = Membership.objects.filter(user=member)
    membership.update(role="viewer")
    within(1, lambda: outcome(ask) is RoleMayNotCall)
    membership.update(role="member")
    within(1, lambda: outcome(ask) is None)
    membership.delete()
    within(1, lambda: outcome(ask) is ProjectOutsideScope)
    User.objects.filter(pk=member.pk).update(is_active=False)
    within(1, lambda: outcome(ask) is UnknownUser)


async def test_a_socket_may_ask_again_for_each_message(member: User, team: Team) -> None:
    assert (await keys.aauthorize(member.pk, "acme/inference")).user_id == member.pk
    await Membership.objects.filter(user=member).adelete()

    async def is_refused() -> bool:
        try:
            await keys.aauthorize(member.pk, "acme/inference")
        except ProjectOutsideScope:
            return True
        return False

    await eventually(is_refused, 1)
