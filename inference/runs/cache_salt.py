"""What keeps the prompts that an engine remembers for one team apart from those of others."""

from functools import lru_cache

from django.utils.crypto import salted_hmac


@lru_cache(maxsize=4_096)
def cache_salt(team_id: int) -> str:
    """Return a team's salt: nobody can guess it, and every process finds the same."""
    return salted_hmac("inference.cache_salt", str(team_id), algorithm="sha256").hexdigest()[:32]
