"""Sessions of browsers: Django's own in the database, which also end when nobody used them for a while.

The module is SESSION_ENGINE. Beside each session a ``BrowserSession`` says whose it is and where it is used, so that
people can look at theirs and end them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.backends import db
from django.db.models import Q, QuerySet, Subquery
from django.db.models.expressions import OuterRef

from accounts.models import LOGINS_TOPIC, BrowserSession, User
from core import changes, clock

# Use is written down so often at most.
USE_SECONDS: Final = 60
MAX_LISTED: Final = 100


class SessionStore(db.SessionStore):
    """One session: found while it has not expired and, with SESSION_IDLE_SECONDS, was used lately."""

    # The key, and when its session was used last; None where nobody wrote that down yet.
    noted: tuple[str | None, datetime] | None = None

    @property
    def is_noted(self) -> bool:
        """Whether it is written down whose session this is."""
        return self.noted is not None and self.noted[0] == self.session_key

    def _get_session_from_db(self) -> Any:
        return self._admitted(self._found().first())

    async def _aget_session_from_db(self) -> Any:
        return self._admitted(await self._found().afirst())

    def _found(self) -> "QuerySet[Any]":
        used_at = BrowserSession.objects.filter(session_key=OuterRef("session_key")).values("used_at")
        sessions = self.model.objects.annotate(used_at=Subquery(used_at))
        return sessions.filter(session_key=self.session_key, expire_date__gt=clock.now()).filter(_is_in_use())

    def _admitted(self, session: Any) -> Any:
        if session is None:
            self._session_key = None
            return None
        self.noted = (session.session_key, session.used_at) if session.used_at else None
        # Whatever is open by then is checked again, as after any change.
        changes.announce_at(LOGINS_TOPIC, _end_of(session).timestamp())
        return session


def note_use(store: SessionStore) -> None:
    """Write down that a session was used just now, once a minute at most."""
    now = clock.now()
    if store.noted and store.is_noted and store.noted[1] < now - timedelta(seconds=USE_SECONDS):
        BrowserSession.objects.filter(session_key=store.session_key).update(used_at=now)
        store.noted = (store.session_key, now)


def note_browser(store: SessionStore, user_id: int, network: str, agent: str) -> None:
    """Write down whose session this is and where it is used, the first time."""
    if store.session_key is None or store.is_noted:
        return
    now = clock.now()
    # As long as it may last, however often it is used and saved.
    store.set_expiry(now + timedelta(seconds=settings.SESSION_COOKIE_AGE))
    noted = {"user_id": user_id, "network": network, "agent": _plain(agent), "used_at": now}
    BrowserSession.objects.update_or_create(session_key=store.session_key, defaults=noted)
    store.noted = (store.session_key, now)
    _forget_ended(user_id)


def sessions_of(user: User) -> Iterator[BrowserSession]:
    """Yield a person's sessions in which somebody is signed in now, the last used first."""
    rows = {row.session_key: row for row in user.browser_sessions.order_by("-used_at")[:MAX_LISTED]}
    store = SessionStore()
    found = store.model.objects.filter(session_key__in=rows, expire_date__gt=clock.now()).in_bulk()
    idle_since = _idle_since()
    for key, row in rows.items():
        session = found.get(key)
        if session is None or (idle_since and row.used_at < idle_since):
            continue
        # A password that was changed since ends a session, too.
        if session.get_decoded().get(HASH_SESSION_KEY) == user.get_session_auth_hash():
            yield row


def end(user: User, session_id: int) -> bool:
    """End one of a person's sessions; its sockets close within a second. Tell whether there was such a session."""
    return _end(user.browser_sessions.filter(pk=session_id)) > 0


def end_others(user: User, kept_key: str | None) -> int:
    """End all of a person's sessions but one, and return how many."""
    return _end(user.browser_sessions.exclude(session_key=kept_key or ""))


def rename(old_key: str | None, new_key: str | None) -> None:
    """Follow a session that was given another key, as after a change of the password."""
    if old_key and new_key:
        BrowserSession.objects.filter(session_key=old_key).update(session_key=new_key)


def _end(rows: "QuerySet[BrowserSession]") -> int:
    keys = list(rows.values_list("session_key", flat=True))
    SessionStore.get_model_class().objects.filter(session_key__in=keys).delete()
    BrowserSession.objects.filter(session_key__in=keys).delete()
    changes.touch(LOGINS_TOPIC)
    return len(keys)


def _forget_ended(user_id: int) -> None:
    """Drop what is kept of a person's sessions that have ended."""
    rows = BrowserSession.objects.filter(user=user_id, used_at__lt=clock.now() - timedelta(seconds=USE_SECONDS))
    sessions = SessionStore.get_model_class().objects
    live = sessions.filter(session_key__in=rows.values("session_key"), expire_date__gt=clock.now())
    _end(rows.exclude(session_key__in=live.values("session_key")))


def _idle_since() -> datetime | None:
    idle_seconds: float = settings.SESSION_IDLE_SECONDS
    return clock.now() - timedelta(seconds=idle_seconds) if idle_seconds else None


def _is_in_use() -> Q:
    since = _idle_since()
    return Q(used_at=None) | Q(used_at__gt=since) if since else Q()


def _end_of(session: Any) -> datetime:
    ends_at: datetime = session.expire_date
    used_at: datetime | None = session.used_at
    if settings.SESSION_IDLE_SECONDS and used_at:
        return min(ends_at, used_at + timedelta(seconds=settings.SESSION_IDLE_SECONDS))
    return ends_at


def _plain(agent: str) -> str:
    return "".join(character for character in agent if character.isprintable())[:200]
