"""People, teams, projects, keys and the history of the panel in the admin panel."""

from accounts.admin import api_keys, history, teams, users

__all__ = ["api_keys", "history", "teams", "users"]
