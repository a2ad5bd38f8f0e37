from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        """Have every process hear of a changed catalogue."""
        from accounts import changes
        from inference.catalogue import TOPIC
        from inference.models import Endpoint, Model, Price

        changes.register(TOPIC, {Model: None, Price: None, Endpoint: None})
