"""Which addresses the bot may talk to: https anywhere, plain http on loopback only."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from bot.errors import SettingsError


def loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def allowed(url: str) -> bool:
    """Whether a token may be sent to a URL: https, or http on loopback, with a host and a usable port."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and loopback(host)))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL, the port made explicit."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


def endpoint(url: str, name: str) -> str:
    """Check an endpoint taken from the variable ``name`` and return it without a trailing slash.

    Raises:
        SettingsError: it is not https (nor http on loopback), carries credentials, a query or a fragment.
    """
    if urlsplit(endpoint_with_query(url, name)).query:
        raise SettingsError(f"{name} has to be a URL without a query")
    return url.rstrip("/")


def endpoint_with_query(url: str, name: str) -> str:
    """Check an address that may carry a query, as the runner's token service does. Raises as :func:`endpoint`."""
    if not allowed(url):
        raise SettingsError(
            f"{name} has to be an https URL", hint="Plain http is accepted for loopback addresses only."
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.fragment:
        raise SettingsError(f"{name} has to be a URL without credentials or fragment")
    return url
