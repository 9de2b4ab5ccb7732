"""Bringing home what a service has made: over https from public addresses only, and no more and no longer than allowed.

The address comes from outside. So it may not lead into the deployer's own network: every name is resolved here, each of
its addresses has to be a public one, and the connection is made to just the address that was looked at. The one
exception is the origin that the deployer has entered as the service itself: a model node stands in the next room. It
holds for the addresses that the service names, and ends with the first redirect to anywhere else.

No proxy of the environment is used: it would resolve the names anew, and behind it no address can be looked at.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import httpcore
import httpx
import structlog

from studio.errors import Away, StudioError
from studio.providers.api import Answer, tls

MOST_REDIRECTS = 3
MOST_ADDRESSES = 4
"""Of a name: how many are tried."""
CONNECT_S = 10.0
SILENCE_S = 30.0
"""How long a download may stand still."""
LONGEST_S = 600.0
"""How long it may take, from the first address to the last byte."""

_REDIRECTS = {301, 302, 303, 307, 308}
# All others of the 4xx say that the address is not good any more: which of them is every store's own choice.
_COMES_RIGHT = {408, 425, 429}

_V6_IN_USE = ipaddress.ip_network("2000::/3")
_V6_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What `ipaddress` takes for public, in this Python or in another one: the protocols' own, among which are Teredo and
# 6to4 with an IPv4 address inside, an example's, and the address at which Azure keeps its machines' own service.
_NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
]

log = structlog.get_logger("studio")


class NotPublic(Exception):
    """An address that nothing is fetched from. Its message names no address: that would tell of the inner network."""


class Downloads:
    """The downloads of one service. `home` is its own origin, from which everything may be fetched."""

    def __init__(self, home: str, *, max_bytes: int) -> None:
        self._home = _origin(httpx.URL(home))
        self._max_bytes = max_bytes

    def fetch(self, url: str, target: Path) -> None:
        """Stream what is there into `target`, just as it comes: nothing is unpacked.

        Raises Away where it may work later, StudioError("CLIP_GONE") where it is no longer kept, and
        StudioError("CLIP_UNREADABLE") for what is too large, takes too long, or is not to be fetched at all.
        """
        ends_at = time.monotonic() + LONGEST_S
        try:
            self._fetch(_parsed(url), target, ends_at)
        except NotPublic:
            _refuse("not_public")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            if time.monotonic() >= ends_at:
                _refuse("too_slow")
            raise Away(f"download: {type(error).__name__}") from error

    def _fetch(self, url: httpx.URL, target: Path, ends_at: float) -> None:
        is_at_home = True
        for _ in range(MOST_REDIRECTS + 1):
            is_at_home = is_at_home and _origin(url) == self._home
            if not is_at_home and url.scheme != "https":
                raise NotPublic
            onward = self._visit(url, target, _Door(ends_at, is_at_home=is_at_home))
            if onward is None:
                return
            url = _parsed(onward, seen_from=url)
        _refuse("redirects")

    def _visit(self, url: httpx.URL, target: Path, door: _Door) -> str | None:
        """Write what is there into `target`; where to go on instead, if it has moved."""
        # It was parsed once, and is not parsed anew by anybody who may see another host in it.
        parsed = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc,
            "User-Agent": "HuaBan",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        timeouts = {"connect": CONNECT_S, "read": SILENCE_S, "write": SILENCE_S}
        with (
            httpcore.ConnectionPool(ssl_context=tls(), network_backend=door) as pool,
            pool.stream("GET", parsed, headers=headers, extensions={"timeout": timeouts}) as response,
        ):
            told = {name.decode("ascii").lower(): value.decode("utf-8", "replace") for name, value in response.headers}
            if response.status in _REDIRECTS and told.get("location"):
                return told["location"]
            if 400 <= response.status < 500 and response.status not in _COMES_RIGHT:
                raise StudioError("CLIP_GONE")
            if response.status != 200:
                retry_after_s = Answer(response.status, told, b"").retry_after_s
                raise Away(f"download: HTTP {response.status}", retry_after_s=retry_after_s)
            announced = told.get("content-length", "")
            if announced.isdecimal() and int(announced) > self._max_bytes:
                _refuse("too_large")
            left = self._max_bytes
            with target.open("wb") as file:
                for chunk in response.iter_stream():
                    left -= len(chunk)
                    if left < 0:
                        _refuse("too_large")
                    file.write(chunk)
        return None


class _Door(httpcore.SyncBackend):
    """Connects to public addresses only, to the very ones that were looked at; at home to all. Closes at `ends_at`."""

    def __init__(self, ends_at: float, *, is_at_home: bool) -> None:
        self._ends_at = ends_at
        self._is_at_home = is_at_home

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = [host] if self._is_at_home else public_addresses(host, port)
        failure: Exception = httpcore.ConnectError()
        for address in addresses[:MOST_ADDRESSES]:
            try:
                stream = super().connect_tcp(
                    address, port, _left(self._ends_at, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self._ends_at)
        raise failure


class _Timed(httpcore.NetworkStream):
    """A connection whose time is up at a set moment. Timeouts alone are no limit for what comes a byte at a time."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._ends_at, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._ends_at, timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._ends_at, timeout))
        except httpcore.TimeoutException:
            # Whoever asks for TLS expects that what gets none is closed.
            self.close()
            raise
        return _Timed(stream, self._ends_at)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises NotPublic unless all of them are public, httpcore.ConnectError for none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError from error
    except UnicodeError as error:
        # No name at all: a label of it is empty or too long.
        raise NotPublic from error
    addresses = [str(entry[4][0]) for entry in found]
    if not all(_is_public(address) for address in addresses):
        raise NotPublic
    return list(dict.fromkeys(addresses))


def _is_public(address: str) -> bool:
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    if found.version == 6:
        # Where there is no IPv4, NAT64 is the way to all that has nothing else, and leads to the address inside.
        if found in _V6_NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        elif found not in _V6_IN_USE:
            return False
    is_listed = any(found in network for network in _NOT_PUBLIC)
    return found.is_global and not found.is_multicast and not is_listed


def _parsed(address: str, *, seen_from: httpx.URL | None = None) -> httpx.URL:
    """What an address says. Raises NotPublic where it is none, or holds the name of a user: nobody signs in."""
    try:
        url = seen_from.join(address) if seen_from else httpx.URL(address)
    except (httpx.InvalidURL, ValueError) as error:
        raise NotPublic from error
    has_port = url.port is None or 0 < url.port < 65536
    if not url.raw_host or url.userinfo or not has_port:
        raise NotPublic
    return url


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port or {"https": 443, "http": 80}.get(url.scheme)


def _left(ends_at: float, timeout: float | None) -> float:
    """How long something may take now. Raises httpcore.ReadTimeout when the time is up."""
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout
    return left_s if timeout is None else min(timeout, left_s)


def _refuse(reason: str) -> NoReturn:
    log.warning("download_refused", reason=reason)
    # Without its cause: addresses are nobody's business.
    raise StudioError("CLIP_UNREADABLE") from None
