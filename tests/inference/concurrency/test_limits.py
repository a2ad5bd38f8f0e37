"""How many requests at once: what operators set, else the settings."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from pytest_django.fixtures import Settings

from accounts.caller import Caller
from accounts.models import Project, User
from inference.concurrency.limits import Limits
from inference.models import MAX_CONCURRENCY, ConcurrencyLimit
from tests.inference.scenes import caller_in
from tests.patience import eventually
from tests.runtimes import runtime

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.either_database]


async def become(limits: Limits, caller: Caller) -> None:
    """Ask until the limits are these, for a second at most."""

    async def are_these() -> bool:
        return await runtime().admission.limits.of(caller) == limits

    await eventually(are_these, 1)


async def test_what_an_operator_sets_holds_within_a_second(project: Project, member: User, settings: Settings) -> None:
    settings.PROJECT_CONCURRENCY, settings.USER_CONCURRENCY = 20, 10
    caller = caller_in(project, member)
    await become(Limits(20, 10), caller)
    limit = await ConcurrencyLimit.objects.acreate(project=project, requests=3)
    await become(Limits(3, 10), caller)
    await ConcurrencyLimit.objects.acreate(user=member, requests=40)
    await become(Limits(3, 40), caller)
    await ConcurrencyLimit.objects.filter(pk=limit.pk).aupdate(requests=4)
    await become(Limits(4, 40), caller)
    await limit.adelete()
    await become(Limits(20, 40), caller)


async def test_another_project_and_another_user_have_their_own(
    project: Project, member: User, owner: User, settings: Settings
) -> None:
    settings.PROJECT_CONCURRENCY, settings.USER_CONCURRENCY = 20, 10
    await ConcurrencyLimit.objects.acreate(user=member, requests=3)
    await become(Limits(20, 3), caller_in(project, member))
    await become(Limits(20, 10), caller_in(project, owner))


async def test_no_query_is_made_for_limits_that_are_remembered(project: Project, member: User) -> None:
    caller = caller_in(project, member)

    def is_answered_without_waiting() -> bool:
        asking = runtime().admission.limits.of(caller)
        try:
            asking.send(None)
        except StopIteration:
            return True
        asking.close()
        return False

    async def is_remembered() -> bool:
        await runtime().admission.limits.of(caller)
        # It never waits, so it asked nobody.
        return is_answered_without_waiting()

    await eventually(is_remembered)


@pytest.mark.parametrize("requests", [0, -1, MAX_CONCURRENCY + 1])
def test_a_limit_is_a_sane_number(project: Project, requests: int) -> None:
    limit = ConcurrencyLimit(project=project, requests=requests)
    with pytest.raises(ValidationError):
        limit.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        limit.save()


def test_a_limit_is_of_one_project_or_one_user(project: Project, member: User) -> None:
    scenes: list[dict[str, Any]] = [{}, {"project": project, "user": member}]
    for whose in scenes:
        with pytest.raises(IntegrityError), transaction.atomic():
            ConcurrencyLimit.objects.create(**whose, requests=1)
    ConcurrencyLimit.objects.create(project=project, requests=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        ConcurrencyLimit.objects.create(project=project, requests=2)
