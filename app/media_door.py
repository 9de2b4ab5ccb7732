"""One object to whoever may read it: by a redirect to the store, or by passing its bytes on from there."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import quote, urlsplit

import httpx
from litestar.response.base import ASGIResponse

from app.asgi import ASGIApp, Headers, Receive, Scope, Send
from app.errors import AnyRequest
from app.relay import Relay, pass_on, status_of
from studio.errors import StudioError
from studio.objects import ObjectStore, StoreUnavailable
from studio.settings import MediaDelivery, Settings

_ONE_RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")
_FROM_CALLER = ("if-none-match", "if-modified-since")
_TO_CALLER = ("content-length", "content-range", "content-type", "accept-ranges", "etag", "last-modified")


class MediaDoor:
    """Opens objects for calls that were found to be allowed to read them."""

    def __init__(self, objects: ObjectStore, settings: Settings) -> None:
        self._objects = objects
        self._streams = settings.media_delivery is MediaDelivery.STREAM
        self._presign_expires_s = settings.presign_expires_s
        self._relay = Relay(settings.s3_endpoint)

    async def open(self, request: AnyRequest, key: str, *, mime: str, seconds_left: int, save: bool) -> ASGIApp:
        """The answer to a call for an object. `mime` may be empty, and is then what the store says.

        `seconds_left` is how long the caller may keep it; `save` lets browsers save it as a file. When the bytes are
        passed on from here, raises StudioError for an object that is not there and for a range beyond its end, and
        StoreUnavailable.
        """
        disposition = _disposition(key.rpartition("/")[2]) if save else ""
        presigned = partial(
            self._objects.presign_get, key, mime=mime, disposition=disposition, method=str(request.method)
        )
        if not self._streams:
            # A browser that keeps the redirect must still find a presigned address that works.
            kept_s = min(seconds_left, self._presign_expires_s // 2)
            location = presigned()
            return ASGIResponse(status_code=302, headers={"Location": location, "Cache-Control": _kept(kept_s)})
        answer = await self._ask(request, presigned(inside=True))
        own = {"cache-control": _kept(seconds_left), "content-disposition": disposition}
        return _passed_on(answer, status_of(str(request.method), answer), own)

    async def aclose(self) -> None:
        await self._relay.aclose()

    async def _ask(self, request: AnyRequest, url: str) -> httpx.Response:
        conditions = {name: value for name in _FROM_CALLER if (value := request.headers.get(name))}
        wanted = request.headers.get("range", "")
        if not _ONE_RANGE.fullmatch(wanted):
            # Several ranges at once, which stores do not take, and what makes no sense. The whole object is the answer.
            return await self._checked(request, url, conditions)
        answer = await self._checked(request, url, {**conditions, "range": wanted})
        if request.headers.get("if-range", answer.headers.get("etag")) == answer.headers.get("etag"):
            return answer
        # The caller has the beginning of something else. Stores mind this header seldom.
        await answer.aclose()
        return await self._checked(request, url, conditions)

    async def _checked(self, request: AnyRequest, url: str, headers: dict[str, str]) -> httpx.Response:
        address = urlsplit(url)
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        try:
            answer = await self._relay.ask(
                str(request.method),
                f"{address.path}?{address.query}".encode(),
                [(b"host", address.netloc.encode()), *sent],
            )
        except httpx.TransportError as error:
            raise StoreUnavailable(type(error).__name__) from error
        if answer.status_code < 400:
            return answer
        await answer.aclose()
        if answer.status_code == 404:
            raise StudioError("NOT_FOUND")
        if answer.status_code == 416:
            raise StudioError("RANGE_NOT_SATISFIABLE")
        raise StoreUnavailable(f"HTTP {answer.status_code}")


def _passed_on(answer: httpx.Response, status: int, own: dict[str, str]) -> ASGIApp:
    """The store's answer with headers of ours."""
    theirs = {name: value for name in _TO_CALLER if (value := answer.headers.get(name))}
    headers: Headers = [(name.encode(), value.encode("latin-1")) for name, value in {**theirs, **own}.items() if value]

    async def send_on(_scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await pass_on(answer, status, headers, receive, send)
        finally:
            await answer.aclose()

    return send_on


def _kept(seconds: int) -> str:
    return f"private, max-age={seconds}"


def _disposition(name: str) -> str:
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
