"""What a service calls back with: sent when it is due, by one thread for all tasks of a simulator."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

ACKNOWLEDGED_WITHIN_S = 5.0


class Callbacks:
    """A timetable of deliveries, and the thread that keeps to it; it is started with the first one."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._is_started = False

    def at(self, when: float, deliver: Callable[[], None]) -> None:
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

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while not self._due or self._due[0][0] > time.time():
                self._changed.wait(max(0.0, self._due[0][0] - time.time()) if self._due else None)
            return heapq.heappop(self._due)[2]


def post(url: str, body: Any, *, most: int = 1, headers: dict[str, str] | None = None) -> None:
    """Send it until it is acknowledged with 2xx in time, `most` times at most."""
    for _ in range(most):
        try:
            if httpx.post(url, json=body, headers=headers, timeout=ACKNOWLEDGED_WITHIN_S).is_success:
                return
        except httpx.HTTPError:
            continue
