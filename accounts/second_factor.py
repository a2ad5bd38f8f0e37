"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for when it is lost."""

import secrets
from typing import Final

import pyotp
from django.db import transaction
from django.utils.crypto import salted_hmac

from accounts.models import SecondFactor, User
from core import clock

RECOVERY_CODES: Final = 8
# A phone's clock may be half a minute off.
_STEPS: Final = (0, -1, 1)
_STEP_SECONDS: Final = 30
_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"


def new_secret() -> str:
    """Return a secret to be shared with an authenticator app, in base 32."""
    return pyotp.random_base32()


def address(secret: str, user: User, site: str) -> str:
    """Return what the app's camera reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=site)


def is_on(user: User) -> bool:
    """Whether a person has to give a code at sign-in."""
    return SecondFactor.objects.filter(user=user).exists()


@transaction.atomic
def turn_on(user: User, secret: str, code: str) -> list[str] | None:
    """Turn it on if the code shows that the app has the secret. Return the recovery codes, or None."""
    step = _step_of(secret, code)
    if step is None:
        return None
    SecondFactor.objects.update_or_create(user=user, defaults={"secret": secret, "last_step": step})
    return renew_recovery_codes(user)


def turn_off(user: User) -> None:
    """Ask for no code any more."""
    SecondFactor.objects.filter(user=user).delete()


def renew_recovery_codes(user: User) -> list[str]:
    """Make new recovery codes, which replace those before; they are not kept and cannot be shown again."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    SecondFactor.objects.filter(user=user).update(recovery_digests=[_digest(code) for code in codes])
    return [f"{code[:5]}-{code[5:]}" for code in codes]


@transaction.atomic
def verify(user: User, code: str) -> bool:
    """Whether a code is right; each is right once."""
    factor = SecondFactor.objects.select_for_update().filter(user=user).first()
    if factor is None:
        return False
    step = _step_of(factor.secret, code)
    if step is not None and step > factor.last_step:
        factor.last_step = step
    elif (digest := _digest(code.strip().lower().replace("-", ""))) in factor.recovery_digests:
        factor.recovery_digests.remove(digest)
    else:
        return False
    factor.save(update_fields=["last_step", "recovery_digests"])
    return True


def _step_of(secret: str, code: str) -> int | None:
    """Return the half minute that a code is of; None for a code of none near now."""
    typed = code.replace(" ", "")
    if not (typed.isascii() and typed.isdigit()):
        return None
    now, totp = int(clock.timestamp()), pyotp.TOTP(secret)
    for step in (now // _STEP_SECONDS + offset for offset in _STEPS):
        if secrets.compare_digest(totp.at(step * _STEP_SECONDS), typed):
            return step
    return None


def _digest(code: str) -> str:
    return salted_hmac("accounts.second_factor", code).hexdigest()
