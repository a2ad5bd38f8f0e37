"""The second factor: codes that are right once, and recovery codes."""

import pyotp
import pytest

from accounts import second_factor
from accounts.models import SecondFactor, User
from core import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def secret(owner: User) -> str:
    """What the owner's app knows; its code of this half minute was used to turn the factor on."""
    secret = second_factor.new_secret()
    assert second_factor.turn_on(owner, secret, code(secret))
    return secret


def code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(clock.timestamp(), counter_offset=steps)


def test_it_is_turned_on_by_a_code_of_the_same_secret(owner: User) -> None:
    secret = second_factor.new_secret()
    for wrong in (code(second_factor.new_secret()), "", "abc", "١٢٣٤٥٦", code(secret, 5)):
        assert second_factor.turn_on(owner, secret, wrong) is None
        assert not second_factor.is_on(owner)
    codes = second_factor.turn_on(owner, secret, code(secret))
    assert codes is not None
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert second_factor.is_on(owner)


def test_a_code_is_right_once_and_an_older_one_never_after(owner: User, secret: str) -> None:
    assert not second_factor.verify(owner, code(secret))
    assert second_factor.verify(owner, code(secret, 1))
    assert not second_factor.verify(owner, code(secret, 1))
    assert not second_factor.verify(owner, code(secret))
    assert not second_factor.verify(owner, code(secret, 4))


def test_a_code_may_be_typed_with_a_space(owner: User, secret: str) -> None:
    typed = code(secret, 1)
    assert second_factor.verify(owner, f" {typed[:3]} {typed[3:]} ")


def test_a_recovery_code_is_right_once(owner: User, secret: str) -> None:
    first, second, *_ = second_factor.renew_recovery_codes(owner)
    assert second_factor.verify(owner, first.upper())
    assert not second_factor.verify(owner, first)
    assert second_factor.verify(owner, second.replace("-", ""))
    assert len(SecondFactor.objects.get().recovery_digests) == second_factor.RECOVERY_CODES - 2


def test_new_recovery_codes_replace_the_old_ones(owner: User, secret: str) -> None:
    old = second_factor.renew_recovery_codes(owner)[0]
    second_factor.renew_recovery_codes(owner)
    assert not second_factor.verify(owner, old)


def test_no_code_is_right_for_somebody_else_or_once_it_is_off(owner: User, member: User, secret: str) -> None:
    assert not second_factor.verify(member, code(secret, 1))
    second_factor.turn_off(owner)
    assert not second_factor.is_on(owner)
    assert not second_factor.verify(owner, code(secret, 1))
