"""What the proxies in front of the web process say of a call: where it came from, and whether by https.

Anybody can send `X-Forwarded-For`. What counts is only what the trusted proxies have appended to it: as many entries,
counted from the right, as there are proxies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def address_of(scope: Mapping[str, Any], trusted_proxies: int) -> str:
    """The address of the caller, as text; empty when the server has none, as on a Unix socket."""
    peer = scope.get("client")
    return _told(scope, b"x-forwarded-for", trusted_proxies) or (peer[0] if peer else "")


def is_https(scope: Mapping[str, Any], trusted_proxies: int) -> bool:
    """Whether the caller's side of the connection is encrypted."""
    return (_told(scope, b"x-forwarded-proto", trusted_proxies) or scope["scheme"]) in {"https", "wss"}


def base_of(scope: Mapping[str, Any], trusted_proxies: int) -> str:
    """Where the caller reaches us: scheme, host and port, as the caller wrote them."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return f"{'https' if is_https(scope, trusted_proxies) else 'http'}://{host}"


def _told(scope: Mapping[str, Any], name: bytes, trusted_proxies: int) -> str:
    """What the outermost of the trusted proxies has said; empty without one, or when it has said nothing."""
    if not trusted_proxies:
        return ""
    said = list(_entries(scope, name))
    # A call that met fewer proxies than there are has fewer entries, all of them appended by proxies of ours.
    return said[-min(trusted_proxies, len(said))] if said else ""


def _entries(scope: Mapping[str, Any], name: bytes) -> Iterator[str]:
    for key, value in scope["headers"]:
        if key == name:
            yield from (entry.strip() for entry in value.decode("latin-1").split(","))
