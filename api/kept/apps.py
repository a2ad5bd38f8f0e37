"""Django's view of what this room keeps."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """What /v1 keeps: responses that can be gone on from."""

    name = "api.kept"
    label = "api"
