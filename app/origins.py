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
from studio.settings import AppMode, Settings

_PREFLIGHT = {
    b"access-control-allow-methods": b"GET, HEAD, POST, PUT, PATCH, DELETE",
    b"access-control-allow-headers": (
        b"Accept-Language, Authorization, Content-Type, If-None-Match, Last-Event-ID, Range, X-Client-Id, X-Request-Id"
    ),
    b"access-control-max-age": b"7200",
}
_EXPOSED = b"Content-Range, ETag, Location, Retry-After, X-Request-Id"
_ITS_OWN = {None, "none", "same-origin"}
"""What `Sec-Fetch-Site` says of a call that no other page asked for; None in browsers that do not send it."""


class Origins:
    """An ASGI app around another, and around the bucket's door too, which pages upload to."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._allowed = frozenset(filter(None, (*settings.allowed_origins, _origin_of(settings.public_url))))
        self._is_dev = settings.app_mode is AppMode.DEV

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        is_welcome = self._is_welcome(headers)
        if scope["type"] == "websocket":
            await (self.app(scope, receive, send) if is_welcome else send({"type": "websocket.close", "code": 1008}))
            return
        answer = _shared(send, headers["origin"] if is_welcome and "origin" in headers else None)
        is_preflight = scope["method"] == "OPTIONS" and {"origin", "access-control-request-method"} <= headers.keys()
        if not is_welcome and (is_preflight or scope["method"] not in SAFE_METHODS):
            await send_problem(scope, answer, "ORIGIN_REFUSED")
        elif is_preflight:
            await answer({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT.items())})
            await answer({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self.app(scope, receive, answer)

    def _is_welcome(self, headers: Mapping[str, str]) -> bool:
        site = headers.get("sec-fetch-site")
        page = headers.get("origin") or _origin_of(headers.get("referer", ""))
        if self._is_dev or page in self._allowed:
            return True
        if page is None:
            return site in _ITS_OWN
        host = headers.get("host", "")
        if _is_loopback(f"//{host}") and _is_loopback(page):
            return True
        # The browser knows best: behind a proxy, the host that we see may be another than the one that it asked for.
        return site == "same-origin" if site else host != "" and page.partition("://")[2] == host


def _origin_of(url: str) -> str | None:
    """The origin of a page's address; None without one."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if found else None


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in {"127.0.0.1", "::1", "localhost"} or host.endswith(".localhost")


def _shared(send: Send, origin: str | None) -> Send:
    """Tells a browser that the page at `origin` may see the answer."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            # In every answer, whoever asked: a cache must not give one page what was meant for another.
            headers = [*message["headers"], (b"vary", b"Origin")]
            if origin is not None:
                headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
                headers.append((b"access-control-expose-headers", _EXPOSED))
            message = {**message, "headers": headers}
        await send(message)

    return answer
