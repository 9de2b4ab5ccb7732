"""What all simulators share: a server of routes, a store of what was accepted, and faults on demand.

A simulator declares its operations with `@operation("POST", "/path/{id}", "create")`. A fault is asked for by
operation: `simulator.fail("create", Fault.DROPPED)`. What a fault looks like on the wire is the service's own business:
it overrides `busy`, `broken`, `rejected` and so on, which are answered in its own words.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit


class Fault(StrEnum):
    SLOW = "slow"
    """The answer comes after `Simulator.slow_s`."""
    BUSY = "busy"
    """429 without Retry-After; nothing is accepted."""
    BUSY_WITH_RETRY_AFTER = "busy_with_retry_after"
    """429 with Retry-After: 1; nothing is accepted."""
    BROKEN = "broken"
    """5xx in the service's own words; nothing is accepted."""
    GATEWAY = "gateway"
    """502 with a page of HTML, from something in between; nothing is accepted."""
    DROPPED = "dropped"
    """Accepted, and the connection is closed without an answer."""
    LOST = "lost"
    """Not accepted, and the connection is closed without an answer. Of a callback: it is not sent."""
    MALFORMED = "malformed"
    """Accepted, and the answer is no JSON."""
    REJECTED = "rejected"
    """The content is not let through, at once."""
    REJECTED_LATER = "rejected_later"
    """Accepted, and the task fails because of its content."""
    FAILED = "failed"
    """Accepted, and the task fails for the service's own reasons."""
    UNAUTHORIZED = "unauthorized"
    """The key is not accepted."""
    SPENT = "spent"
    """The account is used up."""
    NO_MODEL = "no_model"
    """The model is retired."""
    EXPIRED = "expired"
    """Of a download: the address is not valid any more."""
    TRUNCATED = "truncated"
    """Of a download: the connection ends before the file does."""
    NEVER = "never"
    """Accepted, and never finished."""
    FORGED = "forged"
    """Of a callback: somebody else sends it."""
    ALTERED = "altered"
    """Of a callback: it was signed, and then told something else."""
    STALE = "stale"
    """Of a callback: it was signed long ago."""
    REPEATED = "repeated"
    """Of a callback: it comes twice."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Reply:
    status: int = 200
    body: Any = None
    """Bytes go out as they are, everything else as JSON; None is no body at all."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body, ensure_ascii=False).encode()


@dataclass
class Task:
    """What was accepted and takes its time."""

    id: str
    asked: dict[str, Any]
    """The body of the request."""
    accepted_at: float
    """Seconds since the epoch."""
    ready_at: float
    fault: Fault | None = None
    is_canceled: bool = False

    @property
    def state(self) -> str:
        """running, failed, rejected, canceled or ready."""
        if self.is_canceled:
            return "canceled"
        if self.fault is Fault.NEVER or time.time() < self.ready_at:
            return "running"
        return {Fault.REJECTED_LATER: "rejected", Fault.FAILED: "failed"}.get(self.fault or Fault.SLOW, "ready")


Handler = Callable[..., Reply]


def operation(method: str, path: str, name: str) -> Callable[[Handler], Handler]:
    """Declare a method a route. `{part}` matches one part of the path, `{rest*}` all that is left of it."""

    def declare(handler: Handler) -> Handler:
        pattern = re.sub(
            r"\\\{(\w+)\\\*\\\}", r"(?P<\1>.+)", re.escape(path).replace("*", r"\*").replace(r"\\*", r"\*")
        )
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        handler.route = (method, re.compile(pattern), name)  # type: ignore[attr-defined]
        return handler

    return declare


class Simulator:
    """One service. Tests steer it as an object; workers in other processes reach it by `url`."""

    name: ClassVar[str]
    key: ClassVar[str] = "test-key"
    slow_s = 0.5
    generation_s = 0.0
    """How long a task takes."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, Request]] = []
        """Every request, by its operation."""
        self.tasks: dict[str, Task] = {}
        """What was accepted, by id."""
        self.film = b""
        """What a finished task has made."""
        self.said: set[str] = set()
        """All sentences of its answers to requests that met a fault: none of them may reach people."""
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._lock = threading.Lock()
        routes = (getattr(getattr(type(self), name), "route", None) for name in dir(type(self)))
        self._routes = [
            (*route, name)
            for name, route in zip(dir(type(self)), routes, strict=True)
            if route is not None
        ]  # fmt: skip

    # --- for tests

    def env(self) -> dict[str, str]:
        """The settings that make the product talk to this simulator."""
        raise NotImplementedError

    def fail(self, operation: str, *faults: Fault) -> None:
        """Let the next requests of an operation meet these faults, one each."""
        self._faults[operation].extend(faults)

    def forget(self) -> None:
        self.requests.clear()
        self.tasks.clear()
        self._faults.clear()

    def asked(self, operation: str) -> list[Request]:
        """The requests of an operation so far."""
        return [request for name, request in self.requests if name == operation]

    @contextmanager
    def running(self, port: int = 0) -> Iterator[str]:
        """Serve until the end of the block; the address."""
        server = _Server(("127.0.0.1", port), _handler_of(self))
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    # --- for simulators

    def accept(self, asked: dict[str, Any], *, task_id: str) -> Task:
        """Store what was asked for. The fault, if one was ordered, is the task's from now on."""
        now = time.time()
        task = Task(task_id, asked, now, now + self.generation_s, self._fault_at_hand())
        with self._lock:
            self.tasks[task_id] = task
        return task

    def next_fault(self, operation: str) -> Fault | None:
        """The fault that this request of an operation is to meet."""
        with self._lock:
            return self._faults[operation].popleft() if self._faults[operation] else None

    def is_signed(self, request: Request) -> bool:
        """Whether the request carries the key."""
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    def busy(self) -> Reply:
        raise NotImplementedError

    def broken(self) -> Reply:
        raise NotImplementedError

    def rejected(self) -> Reply:
        raise NotImplementedError

    def unauthorized(self) -> Reply:
        raise NotImplementedError

    def spent(self) -> Reply:
        raise NotImplementedError

    def no_model(self) -> Reply:
        raise NotImplementedError

    def expired(self) -> Reply:
        return Reply(403, b"expired")

    def malformed(self, answered: Reply) -> Reply:
        """What becomes of an answer that is no JSON."""
        return Reply(200, b'{"id": "cut off')

    # --- inside

    _at_hand = threading.local()

    def _fault_at_hand(self) -> Fault | None:
        return getattr(self._at_hand, "fault", None)

    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        """The reply, None for a connection that is dropped; and the fault that was met."""
        for method, pattern, name, attribute in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None or method != request.method:
                continue
            with self._lock:
                self.requests.append((name, request))
            fault = self.next_fault(name)
            self._at_hand.fault = fault
            reply = self._with(fault, lambda: getattr(self, attribute)(request, **match.groupdict()))  # noqa: B023
            if fault and reply and not isinstance(reply.body, bytes):
                self.said.update(sentences_in(reply.body))
            return reply, fault
        return Reply(404, {"error": f"the simulator of {self.name} has no {request.method} {request.path}"}), None

    def _with(self, fault: Fault | None, reply: Callable[[], Reply]) -> Reply | None:
        if fault is Fault.LOST:
            return None
        if fault is Fault.SLOW:
            time.sleep(self.slow_s)
        if fault in _REFUSALS:
            return _REFUSALS[fault](self)
        answered = reply()
        if fault is Fault.DROPPED:
            return None
        return self.malformed(answered) if fault is Fault.MALFORMED else answered


def _busy_for_a_second(simulator: Simulator) -> Reply:
    busy = simulator.busy()
    return Reply(busy.status, busy.body, {**busy.headers, "Retry-After": "1"})


_REFUSALS: dict[Fault | None, Callable[[Simulator], Reply]] = {
    Fault.BUSY: lambda simulator: simulator.busy(),
    Fault.BUSY_WITH_RETRY_AFTER: _busy_for_a_second,
    Fault.BROKEN: lambda simulator: simulator.broken(),
    Fault.GATEWAY: lambda _: Reply(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
    Fault.REJECTED: lambda simulator: simulator.rejected(),
    Fault.UNAUTHORIZED: lambda simulator: simulator.unauthorized(),
    Fault.SPENT: lambda simulator: simulator.spent(),
    Fault.NO_MODEL: lambda simulator: simulator.no_model(),
    Fault.EXPIRED: lambda simulator: simulator.expired(),
}


def sentences_in(body: Any) -> Iterator[str]:
    """The strings of an answer that are more than a word."""
    match body:
        case str() if " " in body:
            yield body
        case dict():
            for value in body.values():
                yield from sentences_in(value)
        case list():
            for value in body:
                yield from sentences_in(value)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that died is what some tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler_of(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body of an answer are two packets, and the second must not wait for the first one's receipt.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self._chunks()
            url = urlsplit(self.path)
            reply, fault = simulator.answer(Request(self.command, url.path, parse_qs(url.query), self.headers, body))
            if reply is None:
                self.close_connection = True
                return
            content = reply.content
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", **reply.headers, "Content-Length": str(len(content))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if fault is Fault.TRUNCATED:
                content = content[: len(content) // 2]
                self.close_connection = True
            self.wfile.write(content)

        def _chunks(self) -> bytes:
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 (the names that the server looks for)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
            """A test run has enough to say."""

    return Handler
