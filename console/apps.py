from django.apps import AppConfig
from django.contrib.admin import apps


class ConsoleConfig(AppConfig):
    name = "console"
    default = True


class OperatorAdminConfig(apps.AdminConfig):
    """Django's admin, with our own front page and our own way in."""

    default_site = "console.site.OperatorSite"
    default = False
