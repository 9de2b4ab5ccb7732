"""How often one client, and one address, may ask for changes and for work. Families never meet these limits.

Handlers say what they count as with the option `counted_as`; without it, whatever changes something is a change, and
reading is not counted.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from litestar.handlers import BaseRouteHandler

from app.asgi import SAFE_METHODS
from app.identity import Connection, Identity
from app.proxies import address_of
from studio.errors import StudioError
from studio.request_counters import RequestCounters
from studio.settings import AppMode, Settings

# Some proxies name the port too: "192.0.2.1:4711", "[2001:db8::1]:4711".
_WITH_PORT = re.compile(r"(?:\[(?P<v6>.+)]|(?P<v4>[\d.]+))(?::\d+)?")
_HOUSEHOLD_BITS = 64
"""What of an IPv6 address a provider gives to one household; the rest is for the household to choose."""


class Calls(StrEnum):
    CHANGES = "changes"
    UPLOADS = "uploads"
    """Each half of an upload counts as one."""
    JOBS = "jobs"
    """What a machine works on for seconds or minutes: films, analyses, exports, printed reports."""


class Limit(NamedTuple):
    calls: int
    window_s: int


class Limits:
    """Counts calls by client and by address, neither of which can be told from what is stored."""

    def __init__(self, settings: Settings, counters: RequestCounters, identity: Identity) -> None:
        self.by_client = {
            Calls.CHANGES: Limit(settings.limit_changes_per_minute, 60),
            Calls.UPLOADS: Limit(settings.limit_uploads_per_minute, 60),
            Calls.JOBS: Limit(settings.limit_jobs_per_hour, 3600),
        }
        self._address_factor = settings.limit_address_factor
        self._trusted_proxies = settings.trusted_proxies
        self._key = settings.owner_key.get_secret_value().encode()
        self._counters = counters
        self._identity = identity
        self.is_on = settings.app_mode is not AppMode.DEV

    async def guard(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Count a call. Raises StudioError: RATE_LIMITED, or what there is to say against the caller's identity.

        It runs before the body is read, and before the handler's own refusals.
        """
        counted_as = _counted_as(connection, handler)
        if counted_as is None or not self.is_on:
            return
        limit = self.by_client[counted_as]
        # The client first: what it is refused is not held against others at the same address.
        if "owner" in handler.parsed_fn_signature.parameters:
            await self._count(counted_as, f"client {self._identity.owner(connection)}", limit)
        address = household(address_of(connection.scope, self._trusted_proxies))
        shared = Limit(limit.calls * self._address_factor, limit.window_s)
        await self._count(counted_as, f"address {address}", shared)

    async def _count(self, calls: Calls, who: str, limit: Limit) -> None:
        window = await self._counters.count(calls, self._hash(who), window_s=limit.window_s)
        if window.calls > limit.calls:
            raise StudioError("RATE_LIMITED", retry_after_s=max(1, math.ceil(window.left_s)))

    def _hash(self, who: str) -> str:
        """Another one every day, so that nobody can be followed through the counters from one day to the next."""
        digest = hmac.digest(self._key, f"{datetime.now(UTC).date()} {who}".encode(), hashlib.sha256)
        return urlsafe_b64encode(digest[:18]).decode()


def household(address: str) -> str:
    """What of an address is counted: an IPv4 one as it is, of an IPv6 one the network."""
    match = _WITH_PORT.fullmatch(address)
    try:
        ip = ip_address((match["v6"] or match["v4"]) if match else address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((int(ip), _HOUSEHOLD_BITS), strict=False))
    return str(ip)


def _counted_as(connection: Connection, handler: BaseRouteHandler) -> Calls | None:
    default = Calls.CHANGES if connection.scope.get("method", "GET") not in SAFE_METHODS else None
    chosen: Calls | None = handler.opt.get("counted_as", default)
    return chosen
