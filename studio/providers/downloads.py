"""Bringing home what a service has made: over https from public addresses only, and no more and no longer than allowed.

The address comes from outside. So it may not lead into the deployer's own network: every name is resolved here, each of
its addresses has to be a public one, and the connection is made to just the address that was looked at. The one
exception is the origin that the deployer has entered as the service itself: a model node stands in the next room.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
import weakref
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import structlog

from studio.errors import Away, StudioError

MOST_REDIRECTS = 3
CONNECT_S = 10.0
SILENCE_S = 30.0
"""How long a download may stand still."""
LONGEST_S = 600.0
"""How long it may take."""

_GONE = {401, 403, 404, 410}
_REDIRECTS = {301, 302, 303, 307, 308}

log = structlog.get_logger("studio")


class NotPublic(Exception):
    """An address that nothing is fetched from. Its message names no address: that would tell of the inner network."""


class _PublicOnly(httpcore.SyncBackend):
    """Connects to public addresses only, and to the very address that was looked at."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return super().connect_tcp(public_address(host, port), port, timeout, local_address, socket_options)


def public_address(host: str, port: int) -> str:
    """The first address of a name. Raises NotPublic unless all of them are public, httpcore.ConnectError for none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError from error
    addresses = [str(entry[4][0]) for entry in found]
    if not all(_is_public(address) for address in addresses):
        raise NotPublic
    return addresses[0]


def _is_public(address: str) -> bool:
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    # ::ffff:127.0.0.1 and its like mean the address inside.
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return all(one.is_global and not one.is_multicast for one in (found, inner) if one is not None)


class Downloads:
    """The downloads of one service. `home` is its own origin, from which everything may be fetched."""

    def __init__(self, home: str, *, max_bytes: int) -> None:
        self._home = _origin(home)
        self._max_bytes = max_bytes

    @cached_property
    def _public(self) -> httpcore.ConnectionPool:
        return self._made(_PublicOnly())

    @cached_property
    def _at_home(self) -> httpcore.ConnectionPool:
        return self._made(httpcore.SyncBackend())

    def _made(self, backend: httpcore.NetworkBackend) -> httpcore.ConnectionPool:
        pool = httpcore.ConnectionPool(ssl_context=ssl.create_default_context(), network_backend=backend)
        weakref.finalize(self, pool.close)
        return pool

    def fetch(self, url: str, target: Path) -> None:
        """Stream what is there into `target`.

        Raises Away where it may work later, StudioError("CLIP_GONE") where it is no longer kept, and
        StudioError("CLIP_UNREADABLE") for what is too large, takes too long, or is not to be fetched at all.
        """
        try:
            self._fetch(url, target, ends_at=time.monotonic() + LONGEST_S)
        except NotPublic as error:
            log.warning("download_refused", reason="not_public")
            raise StudioError("CLIP_UNREADABLE") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise Away(f"download: {type(error).__name__}") from error

    def _fetch(self, url: str, target: Path, *, ends_at: float) -> None:
        for _ in range(MOST_REDIRECTS + 1):
            timeouts = {"connect": CONNECT_S, "read": SILENCE_S, "write": SILENCE_S, "pool": SILENCE_S}
            with self._pool(url).stream("GET", url, extensions={"timeout": timeouts}) as response:
                if response.status in _REDIRECTS:
                    url = urljoin(url, _header(response, b"location"))
                    continue
                if response.status in _GONE:
                    raise StudioError("CLIP_GONE")
                if response.status != 200:
                    raise Away(f"download: HTTP {response.status}")
                self._store(response, target, ends_at)
                return
        log.warning("download_refused", reason="redirects")
        raise StudioError("CLIP_UNREADABLE")

    def _pool(self, url: str) -> httpcore.ConnectionPool:
        if _origin(url) == self._home:
            return self._at_home
        if urlsplit(url).scheme != "https":
            raise NotPublic
        return self._public

    def _store(self, response: httpcore.Response, target: Path, ends_at: float) -> None:
        announced = _header(response, b"content-length")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            log.warning("download_refused", reason="too_large")
            raise StudioError("CLIP_UNREADABLE")
        size = 0
        with target.open("wb") as file:
            for chunk in response.iter_stream():
                size += len(chunk)
                if size > self._max_bytes or time.monotonic() > ends_at:
                    log.warning("download_refused", reason="too_large" if size > self._max_bytes else "too_slow")
                    raise StudioError("CLIP_UNREADABLE")
                file.write(chunk)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError as error:
        raise NotPublic from error
