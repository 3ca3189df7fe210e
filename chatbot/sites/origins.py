"""Origins: a scheme, a host and a port, and nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]


def origin_parts(origin: str) -> Origin | None:
    """(scheme, host, port) of a well-formed http(s) origin, else None."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if origin != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc or not parts.hostname:
        return None
    if parts.scheme not in ("http", "https") or not origin.isascii() or not origin.isprintable() or " " in origin:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme]
