"""Whether a run's caller may still call; runs whose callers lose that end with the reason."""

import logging
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from accounts import keys
from accounts.errors import AuthenticationFailed, IdentityError
from inference.errors import InferenceDisabled
from inference.models import Run

if TYPE_CHECKING:
    from inference.completion import Completion

logger = logging.getLogger(__name__)


async def check(run: "Completion") -> None:
    """End the run if its caller may not call any more."""
    try:
        caller = await keys.acheck(run.caller)
    except IdentityError:
        run.stop(Run.Ending.REVOKED, AuthenticationFailed())
    except DatabaseError:
        # The next change decides, or the run's own end.
        logger.exception("the access of run %s could not be checked", run.id)
    else:
        if not caller.team_enabled:
            run.stop(Run.Ending.REVOKED, InferenceDisabled())
