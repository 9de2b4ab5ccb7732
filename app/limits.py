"""How often one client, and one address, may ask for changes and for work. Families never meet these limits.

Handlers say what they count as with the option `counted_as`; without it, whatever changes something is a change, and
reading is not counted.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

import structlog

from app.asgi import SAFE_METHODS
from app.errors import AnyRequest
from app.identity import Connection, Identity
from app.proxies import address_of
from studio.errors import StudioError
from studio.request_counters import Counted, Limit, RequestCounters
from studio.settings import AppMode, Settings

log = structlog.get_logger("app")

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
    CALLBACKS = "callbacks"
    """What services say. They are no clients, and many of their calls come from few addresses."""


class Limits:
    """Counts calls by client and by address, neither of which can be told from what is stored."""

    def __init__(self, settings: Settings, counters: RequestCounters, identity: Identity) -> None:
        self.by_client = {
            Calls.CHANGES: Limit(settings.limit_changes_per_minute, 60),
            Calls.UPLOADS: Limit(settings.limit_uploads_per_minute, 60),
            Calls.JOBS: Limit(settings.limit_jobs_per_hour, 3600),
        }
        # Families may share an address.
        self._by_address = {
            calls: limit._replace(calls=limit.calls * settings.limit_address_factor)
            for calls, limit in self.by_client.items()
        }
        self._by_address[Calls.CALLBACKS] = Limit(settings.limit_callbacks_per_minute, 60)
        self._trusted_proxies = settings.trusted_proxies
        self._key = settings.owner_key.get_secret_value().encode()
        self._counters = counters
        self._identity = identity
        self._has_told = False
        self.is_on = settings.app_mode is not AppMode.DEV

    async def count(self, request: AnyRequest) -> None:
        """Count a call. Raises StudioError: RATE_LIMITED, or what there is to say against the caller's identity.

        To be run before the request is handled, which is before the body is read. As a guard it would look better, and
        for those the framework copies the handler at every call.
        """
        handler = request.route_handler
        default = Calls.CHANGES if request.method not in SAFE_METHODS else None
        calls: Calls | None = handler.opt.get("counted_as", default)
        if calls is None or not self.is_on:
            return
        counters = [self._of_address(calls, request)]
        if "owner" in handler.parsed_fn_signature.parameters:
            # The client first: what it is refused is not held against others at the same address.
            counters.insert(0, self._of_client(calls, request))
        wait_s = await self._counters.count(counters)
        if wait_s:
            raise StudioError("RATE_LIMITED", retry_after_s=wait_s)

    def _of_client(self, calls: Calls, connection: Connection) -> Counted:
        return Counted(calls, self._hash(f"client {self._identity.owner(connection)}"), self.by_client[calls])

    def _of_address(self, calls: Calls, connection: Connection) -> Counted:
        self._look_for_proxy(connection)
        address = household(address_of(connection.scope, self._trusted_proxies))
        return Counted(calls, self._hash(f"address {address}"), self._by_address[calls])

    def _look_for_proxy(self, connection: Connection) -> None:
        """Say once when all callers look like one, because they come through a proxy that nobody told us of."""
        if not (self._trusted_proxies or self._has_told) and "x-forwarded-for" in connection.headers:
            self._has_told = True
            log.warning("proxy_not_trusted", mend="Set TRUSTED_PROXIES, or all callers share the limit of one address.")

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
