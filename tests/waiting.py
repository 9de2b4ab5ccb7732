"""Waiting for a condition, with a limit that only a broken program meets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, limit_s: float = 60.0, every_s: float = 0.01) -> T:
    """The first true value that `look` returns. One that takes its time is made less often, with `every_s`."""
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(every_s)
    return found
