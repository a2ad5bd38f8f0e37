from django.apps import AppConfig


class PlaygroundConfig(AppConfig):
    name = "playground"

    def ready(self) -> None:
        """Name what pages show of a conversation, so that sockets hear of changes."""
        from core import changes
        from playground.models import TOPIC, Conversation

        changes.register(TOPIC, {Conversation: ["version"]})
