from django.apps import AppConfig


class InferenceConfig(AppConfig):
    name = "inference"

    def ready(self) -> None:
        """Have every process hear of a changed catalogue or limit, and prices stay as they were charged."""
        from core import changes
        from inference.billing import price_guard
        from inference.catalog.snapshots import TOPIC
        from inference.models import Alias, ConcurrencyLimit, Endpoint, Model, Price

        changes.register(TOPIC, {Model: None, Alias: None, Price: None, Endpoint: None, ConcurrencyLimit: None})
        price_guard.declare()
