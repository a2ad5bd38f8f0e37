from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    # On the operators' pages, accounts are what holds credits.
    verbose_name = "Access"

    def ready(self) -> None:
        """Name what decides who may call, everything that a cached ``Caller`` was made from; and what ends a login."""
        from django.contrib.sessions.models import Session

        from accounts.models import LOGINS_TOPIC, TOPIC, ApiKey, Membership, Project, Team, User
        from core import changes

        key_fields = ["id", "digest", "issuer", "team", "project", "expires_at", "revoked_at"]
        changes.register(
            TOPIC,
            {
                ApiKey: key_fields,  # not last_used_at, which changes all the time
                Membership: None,
                Project: None,
                Team: None,
                User: ["is_active", "is_superuser"],
            },
        )
        # Sessions are often written to, but only their coming and going counts here.
        changes.register(LOGINS_TOPIC, {Session: ["session_key"], User: ["password"]})
