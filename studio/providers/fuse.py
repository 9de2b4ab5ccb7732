"""Between the intent of a paid call and its first byte lies a while, and a machine may sleep in it.

Whoever finds the intent later concludes from its age that the call is over. So a call that did not begin in time does
not begin at all.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from studio.errors import NotNow

BEGINS_WITHIN_S = 30.0
"""What is prepared for a call takes a second or two."""

_lit_at: ContextVar[float | None] = ContextVar("lit_at", default=None)


def light() -> None:
    """Say that an intent is written now, in this thread."""
    _lit_at.set(_clock_s())


def pass_once() -> None:
    """For just before the first byte of a paid call. Raises NotNow where the intent is too old by then.

    Once: a second call within the same is a part of what was begun in time.
    """
    lit_at = _lit_at.get()
    put_out()
    if lit_at is not None and _clock_s() - lit_at > BEGINS_WITHIN_S:
        raise NotNow("its intent is too old", retry_after_s=0)


def put_out() -> None:
    """The call is over, or was never made."""
    _lit_at.set(None)


def _clock_s() -> float:
    # One that a machine's sleep does not stop.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
