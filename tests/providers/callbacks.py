"""What services call back with: signed as each documents it, when it is due or when a test says so, and with faults."""

from __future__ import annotations

import hashlib
import heapq
import hmac
import itertools
import json
import threading
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

import httpx

from tests.providers.simulator import Fault, Simulator, Task

ACKNOWLEDGED_WITHIN_S = 5.0
STALE_S = 600
KEY = bytes(range(32))
"""Of a service that signs with a secret on which both sides agreed."""
SECRET = f"whsec_{b64encode(KEY).decode()}"


class Timetable:
    """What is due when, and the thread that keeps to it; it is started with the first one."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._is_started = False

    def at(self, when: float, deliver: Callable[[], object]) -> None:
        """Call `deliver` at a time, in seconds since the epoch."""
        with self._changed:
            heapq.heappush(self._due, (when, next(self._numbers), deliver))
            self._changed.notify()
            if not self._is_started:
                self._is_started = True
                threading.Thread(target=self._keep, daemon=True).start()

    def clear(self) -> None:
        with self._changed:
            self._due.clear()

    def _keep(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Callable[[], object]:
        with self._changed:
            while not self._due or self._due[0][0] > time.time():
                self._changed.wait(max(0.0, self._due[0][0] - time.time()) if self._due else None)
            return heapq.heappop(self._due)[2]


class CallingBack(Simulator):
    """A service that calls back. Faults of a callback: LOST, FORGED, ALTERED, STALE, REPEATED.

    Where a service signs nothing, whoever forges a callback does not know its address, and nobody sees what is stale.
    """

    failed: ClassVar[str] = "failed"
    """Its word for what came to nothing."""
    most_sends: ClassVar[int] = 1
    """How often the end of a task is sent until that is acknowledged."""
    is_prompt = True
    """Calls back by itself; otherwise only when a test says so."""
    product_url = ""
    """Where the product really is: the addresses that it gives are https, which no server of a test speaks."""

    def __init__(self) -> None:
        super().__init__()
        self._timetable = Timetable()
        self._callback_urls: dict[str, str] = {}

    def forget(self) -> None:
        super().forget()
        self._timetable.clear()
        self._callback_urls.clear()

    # --- for tests

    def call_back(self, task: Task, state: str = "") -> list[int]:
        """Tell what has become of a task, or that it is in an earlier state. What each copy was answered with."""
        fault = self.next_fault("callback")
        if fault is Fault.LOST:
            return []
        true = json.dumps(self.news(task, state)).encode()
        lie = json.dumps(self.news(task, self.failed)).encode()
        url, message_id = self._address(task, is_forged=fault is Fault.FORGED), self.message_id(task)

        def send() -> int:
            at = int(time.time()) - (STALE_S if fault is Fault.STALE else 0)
            headers = self.signed(task, message_id, at, true, is_forged=fault is Fault.FORGED)
            body = lie if fault is Fault.ALTERED else true
            return self._http.post(url, content=body, headers=headers).status_code

        return [send() for _ in range(2 if fault is Fault.REPEATED else 1)]

    # --- for simulators

    def news(self, task: Task, state: str) -> dict[str, Any]:
        """What is sent of a task in this state, "" for the one that it is in."""
        raise NotImplementedError

    def message_id(self, task: Task) -> str:
        """Of one callback, however often it is sent."""
        return f"msg_{uuid.uuid4().hex}"

    def signed(self, task: Task, message_id: str, at: int, body: bytes, *, is_forged: bool) -> dict[str, str]:
        """The headers that say who has sent it; none where the service signs nothing."""
        return {}

    def announce(self, task: Task, url: str, changes: Iterable[tuple[str, float]] = ()) -> None:
        """Call back when a task ends, and before that at changes: states, and their times in seconds of the epoch."""
        self._callback_urls[task.id] = url
        end = [] if task.fault is Fault.NEVER else [("", task.ready_at)]
        for state, when in [*changes, *end] if self.is_prompt else ():
            self._timetable.at(when, partial(self._tell, task, state))

    # --- inside

    @cached_property
    def _http(self) -> httpx.Client:
        # Nothing is left open: nobody closes it.
        return httpx.Client(timeout=ACKNOWLEDGED_WITHIN_S, limits=httpx.Limits(max_keepalive_connections=0))

    def _address(self, task: Task, *, is_forged: bool) -> str:
        url = self._callback_urls[task.id]
        if self.product_url:
            url = f"{self.product_url}{urlsplit(url).path}"
        is_secret = not self.signed(task, "", 0, b"", is_forged=False)
        return f"{url}x" if is_forged and is_secret else url

    def _tell(self, task: Task, state: str) -> None:
        """Until it is acknowledged, where it is the end."""
        for _ in range(1 if state else self.most_sends):
            if task.id not in self.tasks or task.is_canceled:
                return
            with suppress(httpx.HTTPError):
                if all(200 <= status < 300 for status in self.call_back(task, state)):
                    return


def standard_signature(message_id: str, at: int, body: bytes, *, is_forged: bool) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    key = bytes(32) if is_forged else KEY
    mac = hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{b64encode(mac).decode()}",
    }
