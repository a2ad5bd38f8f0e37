"""The catalogue, its endpoints, runs and limits in the admin panel."""

from inference.admin import endpoints, limits, models

__all__ = ["endpoints", "limits", "models"]
