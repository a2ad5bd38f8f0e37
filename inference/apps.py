from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        """Have every process hear of a changed catalogue or limit, and prices stay as they were charged."""
        from accounts import changes
        from inference.catalogue import TOPIC
        from inference.models import ConcurrencyLimit, Endpoint, Model, Price
        from inference.paying import price_guard

        changes.register(TOPIC, {Model: None, Price: None, Endpoint: None, ConcurrencyLimit: None})
        price_guard.declare()
