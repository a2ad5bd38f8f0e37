from django.apps import AppConfig


class PlaygroundConfig(AppConfig):
    name = "playground"

    def ready(self) -> None:
        """Name what ends a login, and what pages show of a conversation, so that sockets hear of changes."""
        from django.contrib.auth import get_user_model
        from django.contrib.sessions.models import Session

        from core import changes
        from playground.models import TOPIC, Conversation
        from playground.socket.presence import LOGINS_TOPIC

        # Sessions are often written to, but only their coming and going counts here.
        changes.register(LOGINS_TOPIC, {Session: ["session_key"], get_user_model(): ["password"]})
        changes.register(TOPIC, {Conversation: ["version"]})
