"""Waiting for a condition, with a limit that only a broken program meets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SOONEST_S, LATEST_S = 0.01, 0.5
REST = 4
"""For so many times as long as a look took nobody looks, so that what is waited for has the machine to itself."""


def eventually(look: Callable[[], T], *, limit_s: float = 60.0) -> T:
    """The first true value that `look` returns."""
    deadline = time.monotonic() + limit_s
    while True:
        began = time.monotonic()
        if found := look():
            return found
        ended = time.monotonic()
        assert ended < deadline, "it never came true"
        time.sleep(min(max(SOONEST_S, REST * (ended - began)), LATEST_S))
