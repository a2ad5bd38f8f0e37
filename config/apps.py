from django.apps import AppConfig


class SiteConfig(AppConfig):
    """An app for the sake of its commands: ``bootstrap`` and ``serve``."""

    name = "config"
