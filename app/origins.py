"""Which pages may call: this service's own, those in ALLOWED_ORIGINS, and on one machine any page of that machine.

A page elsewhere can make a browser send a change, with all that the browser knows. So changes, and sockets, are refused
to pages that are not welcome, and only to those that are does a browser show the answers (CORS). Programs are no pages:
they say nothing of an origin, and there is nobody whose browser they could misuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from app.asgi import SAFE_METHODS, ASGIApp, Message, Receive, Scope, Send
from app.errors import send_problem
from studio.callbacks import PATH
from studio.settings import AppMode, AuthMode, Settings

NO_PAGES = f"{PATH}/"
"""Only services call here. They sign what they say, wherever it seems to come from."""

_READ = {b"host", b"origin", b"referer", b"sec-fetch-site", b"access-control-request-method"}
_ITS_OWN = {"", "none", "same-origin"}
"""What `Sec-Fetch-Site` says of a call that no other page asked for; nothing in browsers that do not send it."""
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Accept-Language, Authorization, Content-Type, If-None-Match, Last-Event-ID, Range, X-Client-Id, X-Request-Id",
    ),
    (b"access-control-max-age", b"7200"),
]
_EXPOSED = b"Content-Range, ETag, Location, Retry-After, X-Request-Id"


class Origins:
    """An ASGI app around another, and around the bucket's door too, which pages upload to."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._allowed = settings.origins
        self._is_dev = settings.app_mode is AppMode.DEV
        self._is_at_home = settings.auth_mode is AuthMode.SINGLE and not settings.trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path", "").startswith(NO_PAGES):
            await self.app(scope, receive, send)
            return
        said = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
        is_preflight = scope.get("method") == "OPTIONS" and {"origin", "access-control-request-method"} <= said.keys()
        is_change = is_preflight or scope.get("method") not in SAFE_METHODS
        is_welcome = self._is_welcome(said)
        answer = _shared(send, said.get("origin", "") if is_welcome else "")
        if (is_change and not is_welcome) or self._is_lured(scope, said):
            await _refuse(scope, answer)
        elif is_preflight:
            await answer({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await answer({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self.app(scope, receive, answer)

    def _is_welcome(self, said: Mapping[str, str]) -> bool:
        page = said.get("origin") or _origin_of(said.get("referer", ""))
        host, site = said.get("host", ""), said.get("sec-fetch-site", "")
        if self._is_dev or page in self._allowed:
            return True
        if not page:
            return site in _ITS_OWN
        if _is_loopback(f"//{host}") and _is_loopback(page):
            return True
        # The browser knows best: behind a proxy, the host that we see may be another than the one that it asked for.
        return site == "same-origin" if site else page.partition("://")[2] == host != ""

    def _is_lured(self, scope: Scope, said: Mapping[str, str]) -> bool:
        """Whether a browser on this machine was led here under a name that is not this machine's.

        Whoever owns a name can let it point anywhere, and a browser then takes their page and us for one origin. Where
        calls name their client, such a page has no client to name.
        """
        if not self._is_at_home or self._is_dev:
            return False
        host = said.get("host", "")
        is_known = _is_loopback(f"//{host}") or any(origin.endswith(f"://{host}") for origin in self._allowed)
        return (scope.get("client") or ("",))[0] in _LOOPBACK and not is_known


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await send_problem(scope, send, "ORIGIN_REFUSED")


def _origin_of(url: str) -> str:
    """The origin of a page's address; empty without one."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if found else ""


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in _LOOPBACK or host.endswith(".localhost")


def _shared(send: Send, origin: str) -> Send:
    """Tells a browser that the page at `origin` may see the answer, unless that is empty."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            # In every answer, whoever asked: a cache must not give one page what was meant for another.
            headers = [*message["headers"], (b"vary", b"Origin")]
            if origin:
                headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
                headers.append((b"access-control-expose-headers", _EXPOSED))
            message = {**message, "headers": headers}
        await send(message)

    return answer
