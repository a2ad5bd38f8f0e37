from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CreditsConfig(AppConfig):
    """The ledger's app: guards the entries after every migrate."""

    name = "credits"

    def ready(self) -> None:
        """Have the triggers made again whenever a migration may have dropped them."""
        from credits.ledger import triggers

        post_migrate.connect(triggers.create, sender=self, dispatch_uid="credits.ledger.triggers")
