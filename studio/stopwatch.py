"""How long a step spent outside: in providers and media tools. The rest of a job's time is ours to answer for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_spent_s: ContextVar[float] = ContextVar("spent_s", default=0.0)


@contextmanager
def outside() -> Iterator[None]:
    """Count the block's time as spent outside."""
    began = time.monotonic()
    try:
        yield
    finally:
        _spent_s.set(_spent_s.get() + time.monotonic() - began)


def outside_ms() -> int:
    """Milliseconds spent outside since the reset, in this thread."""
    return round(1000 * _spent_s.get())


def reset() -> None:
    _spent_s.set(0.0)
