"""Sends alerts by e-mail: one thread in each web process, which shares the work with those of the others.

A thread of its own, because a conversation with a mail server may take minutes, and neither the event loop nor the
threads that draw pages may wait for it.
"""

import logging
import threading
from smtplib import SMTPRecipientsRefused
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection

from accounts.models import Team
from console.alerts.email import alert_email
from credits import alerts
from credits.models import Alert

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How often it looks for alerts, of any process: one question to an index that holds only what is not sent."""

# From here on a mail server's reply means that trying again is of no use.
PERMANENT: Final = 500

_starting = threading.Lock()
_mailer: "Mailer | None" = None


def start() -> None:
    """Begin to send, in the background. Starting twice is the same as once."""
    global _mailer  # noqa: PLW0603 (one mailer per process)
    with _starting:
        if _mailer is None or not _mailer.is_alive():
            _mailer = Mailer()
            _mailer.start()


def stop() -> None:
    """Send what is being sent, and end; a mail server that takes longer than SHUTDOWN_SECONDS is not waited for.

    What was under way then is sent again when its claim lapses.
    """
    global _mailer
    with _starting:
        mailer, _mailer = _mailer, None
    if mailer is not None:
        mailer.stopping.set()
        mailer.join(settings.SHUTDOWN_SECONDS)


class Mailer(threading.Thread):
    """Looks for alerts that are due and sends them, those of one team at a time."""

    def __init__(self) -> None:
        super().__init__(name="alert-mailer", daemon=True)
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(LOOK_SECONDS):
            try:
                while not self.stopping.is_set() and (claimed := alerts.claim()):
                    send(claimed)
            except DatabaseError as error:
                logger.warning("Could not look for alerts to be sent: %s", error)
            finally:
                connection.close()


def send(claimed: list[Alert]) -> None:
    """Send each recipient an e-mail about one team's claimed alerts, and note what became of it."""
    team = alerts.team_of(claimed[0])
    try:
        _tell_each(team, claimed)
    except Exception as error:
        # Whatever goes wrong with these, the next ones are still sent.
        due_at = alerts.note_failed(claimed, f"{type(error).__name__}: {error}")
        again = f"{due_at:%H:%M:%S} UTC"
        # A mail server that is away is no bug of ours; anything else is shown whole.
        is_bug = not isinstance(error, OSError)
        logger.warning("Alerts of team %s were not sent, next try at %s: %s", team, again, error, exc_info=is_bug)
        return
    alerts.note_sent(claimed)
    logger.info("Sent %d alerts of team %s.", len(claimed), team)


def _tell_each(team: Team, claimed: list[Alert]) -> None:
    """Tell everyone of what they were not told yet, and note each. Raises what kept it from some of them."""
    recipients = alerts.recipients(team.pk)
    managers = {user.email for user, _ in recipients.managers}
    deferred: SMTPRecipientsRefused | None = None
    for email in recipients.emails:
        untold = [alert for alert in claimed if email not in alert.sent_to.split(", ")]
        if not untold:
            continue
        try:
            alert_email(team, untold, email, is_named=email not in managers).send()
        except SMTPRecipientsRefused as refusal:
            # One mailbox keeps nobody else from being told.
            if any(code < PERMANENT for code, _ in refusal.recipients.values()):
                deferred = refusal
                continue
            logger.warning("The mail server knows no such mailbox, for an alert of team %s", team)
        alerts.note_told(untold, email)
    if deferred:
        raise deferred
