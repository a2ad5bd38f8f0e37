"""Whether a run's caller may still call; runs whose callers lose that end with the reason."""

import logging

from django.db import Error as DatabaseError

from accounts import keys
from accounts.caller import Caller
from accounts.errors import AuthenticationFailed, IdentityError
from inference.errors import InferenceDisabled

logger = logging.getLogger(__name__)


async def lost_by(caller: Caller) -> Exception | None:
    """Return why a caller may not call any more; None if he may."""
    try:
        caller = await keys.acheck(caller)
    except IdentityError:
        return AuthenticationFailed()
    except DatabaseError:
        # The next change decides, or the run's own end.
        logger.exception("the access of user %d to project %d could not be checked", caller.user_id, caller.project_id)
        return None
    return None if caller.team_enabled else InferenceDisabled()
