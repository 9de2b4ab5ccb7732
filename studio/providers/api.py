"""Talking to a service over HTTP: one client per service, explicit timeouts, no retries, and errors in three families.

A question (`ask`) that gets no answer is `Away`. A paid request (`buy`) that gets none is `OutcomeUnknown`, unless it
surely never left: no connection was made. What a refusal means is the service's own business: its module says so.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, Protocol

import httpx
import msgspec
import structlog

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.providers import fuse
from studio.providers.cards import CONNECT_S, Card, model_unknown
from studio.providers.interfaces import Capability

ANSWER_MAX_BYTES = 64 * 1024 * 1024
"""Of an answer that is held in memory: a picture in base64 at most. What is larger is downloaded to a file."""
LONGEST_RETRY_AFTER_S = 3600.0

log = structlog.get_logger("studio")

# Nothing was sent: there was no connection to send it over.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Their names in lower case."""
    content: bytes
    asked_model: str = ""
    """The model that was asked for, where one was."""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ValueError when it is none."""
        found = msgspec.json.decode(self.content)
        if not isinstance(found, dict):
            raise ValueError("the answer is no JSON object")  # noqa: TRY004 (the content is wrong, not the call)
        return found

    @property
    def body(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            return self.json()
        except ValueError:
            return {}

    @property
    def retry_after_s(self) -> float | None:
        """When the service wants to be asked again, an hour from now at the latest."""
        for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
            try:
                seconds = float(self.headers[name]) / unit
            except (KeyError, ValueError):
                continue
            if seconds >= 0:
                return min(seconds, LONGEST_RETRY_AFTER_S)
        return None


class Meaning(StrEnum):
    """What an answer that is no success comes to, whatever the service calls it."""

    REJECTED = "rejected"
    """The content was not let through by a safety check."""
    REFUSED = "refused"
    """It cannot be done as it was asked; asked again it would be refused again."""
    NO_MODEL = "no_model"
    """There is no such model, or not any more."""
    ACCOUNT = "account"
    """The key is wrong, or the account is locked, or may not do this."""
    SPENT = "spent"
    """There is no money in the account, or it may not spend more of it."""
    BUSY = "busy"
    """Too much at once, or too fast. It comes right by itself."""
    FULL = "full"
    """The same, and not within seconds."""
    AWAY = "away"
    """It has a fault of its own, and surely did not accept."""
    UNCLEAR = "unclear"
    """It may have accepted all the same."""
    MISSING = "missing"
    """It knows of no such task, or not any more."""
    FAILED = "failed"
    """It accepted, and could not make it, for reasons of its own."""


class Missing(StudioError):
    """The service knows of no such task, or not any more."""

    def __init__(self) -> None:
        super().__init__("CLIP_GONE")


Reader = Callable[[Answer], Meaning | None]
"""Says what an answer means in its service's own words; None leaves it to the HTTP status."""

FULL_S = 30.0


class Api:
    """One service, for one capability. `headers` is called for every request: what signs it may change."""

    def __init__(
        self, card: Card, capability: Capability, *, headers: Callable[[], dict[str, str]], reader: Reader
    ) -> None:
        self.card = card
        self.capability = capability
        self.offer = card.offer(capability)
        self._headers = headers
        self._reader = reader

    @cached_property
    def _client(self) -> httpx.Client:
        # Made when first used, and so after a worker has forked.
        return self._made(httpx.Limits(max_keepalive_connections=16))

    @cached_property
    def _paying_client(self) -> httpx.Client:
        # A connection that is kept open may just be closed by the other side while a request is on its way, and then
        # nobody knows whether it arrived. So each paid request has one of its own.
        return self._made(httpx.Limits(max_keepalive_connections=0))

    def _made(self, limits: httpx.Limits) -> httpx.Client:
        timeout = httpx.Timeout(self.offer.timeout_s, connect=CONNECT_S)
        client = httpx.Client(verify=tls(), timeout=timeout, limits=limits)
        weakref.finalize(self, client.close)
        return client

    def ask(self, method: str, path: str, **request: Any) -> Answer:
        """Send what costs nothing and may be sent again. Raises NotNow, StudioError.

        `request` is httpx's: json, params, data, files, headers; and `model`, for the words of a refusal.
        """
        return self._send(self._client, method, path, Away("no answer"), request)

    def buy(self, method: str, path: str, **request: Any) -> Answer:
        """Send what may be charged. Raises NotNow and StudioError where it surely was not accepted, OutcomeUnknown."""
        fuse.pass_once()
        with _hanging_up_after(CONNECT_S + self.offer.timeout_s) as traced:
            request["extensions"] = {"trace": traced}
            return self._send(self._paying_client, method, path, OutcomeUnknown(), request)

    def _send(
        self, client: httpx.Client, method: str, path: str, unclear: Exception, request: dict[str, Any]
    ) -> Answer:
        headers = {**self._headers(), **request.pop("headers", {})}
        model = request.pop("model", "")
        began = time.monotonic()
        try:
            with client.stream(method, f"{self.card.base_url}{path}", headers=headers, **request) as response:
                answer = Answer(
                    response.status_code,
                    {name.lower(): value for name, value in response.headers.items()},
                    _limited(response, self.offer.timeout_s),
                    model,
                )
        except _NOT_SENT as error:
            self._log(method, type(error).__name__, began)
            raise Away(f"{self.card.name} cannot be reached") from error
        except (httpx.HTTPError, httpx.InvalidURL, _TooMuch) as error:
            self._log(method, type(error).__name__, began)
            raise unclear from error
        self._log(method, answer.status, began)
        meaning = self._reader(answer) or by_status(answer)
        if meaning is not None:
            raise self.failure(meaning, answer, unclear=unclear)
        return answer

    def failure_of_task(self, meaning: Meaning | None, answer: Answer, *, micros: int | None = None) -> Exception:
        """What a task comes to that failed. It is over whatever its words say: no wait and no other key mends it.

        `micros` is what the service says that it charges all the same.
        """
        is_about_us = meaning in (Meaning.REJECTED, Meaning.REFUSED)
        failure = self.failure(meaning if meaning and is_about_us else Meaning.FAILED, answer)
        if isinstance(failure, StudioError):
            failure.micros = micros
        return failure

    def failure(  # noqa: C901, PLR0911 (one line for each meaning)
        self, meaning: Meaning, answer: Answer, *, unclear: Exception | None = None
    ) -> Exception:
        """The exception that an answer comes to: for a task that failed, too."""
        name, title = self.card.name, self.card.title
        match meaning:
            case Meaning.REJECTED:
                return StudioError("CONTENT_REJECTED")
            case Meaning.NO_MODEL:
                return model_unknown(self.card, self.capability, answer.asked_model or self.offer.model)
            case Meaning.ACCOUNT:
                return StudioError(
                    "PROVIDER_ACCOUNT",
                    provider=title,
                    setting=" / ".join((*self.card.keys, *self.card.optional_keys)) or "–",
                )
            case Meaning.SPENT:
                return StudioError("PROVIDER_QUOTA", provider=title)
            case Meaning.BUSY:
                return NotNow(f"{name} is busy", retry_after_s=answer.retry_after_s)
            case Meaning.FULL:
                return NotNow(f"{name} is full", retry_after_s=answer.retry_after_s or FULL_S)
            case Meaning.AWAY:
                return Away(f"{name}: HTTP {answer.status}", retry_after_s=answer.retry_after_s)
            case Meaning.REFUSED:
                return StudioError("PROVIDER_REFUSED")
            case Meaning.MISSING:
                return Missing()
            case Meaning.FAILED:
                return StudioError("RENDER_FAILED")
            case Meaning.UNCLEAR:
                return unclear or Away(f"{name}: HTTP {answer.status}", retry_after_s=answer.retry_after_s)

    def _log(self, method: str, outcome: int | str, began: float) -> None:
        log.info(
            "provider_call",
            provider=self.card.name,
            method=method,
            outcome=outcome,
            ms=round(1000 * (time.monotonic() - began)),
        )


class Service(Protocol):
    """The module of a service that does several things."""

    def api(self, card: Card, capability: Capability) -> Api:
        """How to talk to it."""


def by_status(answer: Answer) -> Meaning | None:  # noqa: PLR0911 (one line for each status)
    """What an answer means where the service's own words say no more. None is success."""
    match answer.status:
        case status if 200 <= status < 300:
            return None
        case 401 | 403:
            return Meaning.ACCOUNT
        case 402:
            return Meaning.SPENT
        case 429:
            return Meaning.BUSY
        case 408 | 504:
            # Whoever has waited in vain, it was for somebody who may be at work on it.
            return Meaning.UNCLEAR
        case status if status >= 500 or status in (409, 425):
            # Its own words in its own form say that it did not take it: OpenAI, Anthropic and DashScope document such a
            # 500 as one to ask again after. Where that is not so (clips of Ark, Kling, Pika and Runway), the service's
            # module says it. Anything else came from something in between.
            return Meaning.AWAY if answer.body else Meaning.UNCLEAR
        case status if 400 <= status < 500:
            return Meaning.REFUSED
        case _:
            return Meaning.UNCLEAR


@cache
def tls() -> ssl.SSLContext:
    """Which certificates are believed: those of `SSL_CERT_FILE`, or the authorities that are known to browsers."""
    # Reading the authorities' certificates takes a tenth of a second, and they are the same for all services.
    return httpx.create_ssl_context()


@contextmanager
def _hanging_up_after(seconds: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Around a request on a connection of its own, which is told by what is yielded: closed when the time is up.

    The client's own limits are for each part that is sent or read. A service that takes a drawing byte by byte would
    hold a thread for days, and the call would outlast the time after which others take it to be over (`lasts_s`).
    """
    connected: list[socket.socket] = []
    is_over = threading.Event()

    def traced(event: str, told: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            connected.append(told["return_value"].get_extra_info("socket"))
            if is_over.is_set():
                # It took so long to find its address.
                hang_up()

    def hang_up() -> None:
        is_over.set()
        for each in connected:
            # Below TLS, which is not to be taken from under whoever is just writing.
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield traced
    finally:
        timer.cancel()


class _TooMuch(Exception):
    """The answer is larger than anything that a service should answer, or takes longer than it may."""


def _limited(response: httpx.Response, timeout_s: float) -> bytes:
    content = bytearray()
    ends_at = time.monotonic() + timeout_s
    for chunk in response.iter_bytes():
        content += chunk
        # The client's own limit is for each part of an answer, and not for all of it.
        if len(content) > ANSWER_MAX_BYTES or time.monotonic() > ends_at:
            raise _TooMuch
    return bytes(content)
