"""The one reading of an ``Authorization`` header: only a Bearer secret opens anything."""


def bearer_secret(authorization: str) -> str | None:
    """Return the secret in ``Bearer SECRET``, empty where nothing follows; None for any other scheme."""
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None
