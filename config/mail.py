"""What the settings for e-mail need to be right before the site starts."""

import ipaddress

from environs import EnvError


def default_sender(host: str) -> str:
    """Return who letters come from if nobody said: ``parley`` at the site's own name, where it has one."""
    is_name = "." in host and not _is_address(host)
    return f"parley@{host if is_name else 'localhost.localdomain'}"


def check_mail(host: str, user: str, password: str, *, is_tls: bool, is_ssl: bool) -> None:
    """Refuse settings that contradict each other. Raises EnvError."""
    if is_tls and is_ssl:
        raise EnvError('Environment variables "EMAIL_USE_TLS" and "EMAIL_USE_SSL" exclude each other')
    if bool(user) != bool(password):
        raise EnvError('Environment variables "EMAIL_HOST_USER" and "EMAIL_HOST_PASSWORD" need each other')
    if not host and (user or is_tls or is_ssl):
        raise EnvError(
            'Environment variable "EMAIL_HOST" is not set, but EMAIL_HOST_USER, EMAIL_USE_TLS or EMAIL_USE_SSL is'
        )
    if any(character in host for character in "/:@ ") and not _is_address(host):
        raise EnvError(f'Environment variable "EMAIL_HOST" is the name of a server, not {host!r}')


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
