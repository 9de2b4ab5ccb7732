"""Actors that are no steps of a job, and that nobody watches: they run twice harmlessly, and wait for what is away."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import dramatiq

from actors.waiting import waiting
from broker import Canceled, current_delivery

CHORE = 5
"""The priority of what nobody waits for."""
MAX_RETRIES = 5
MIN_BACKOFF_MS = 1_000
MAX_BACKOFF_MS = 60_000
TIME_LIMIT_MS = 60 * 60 * 1000


def chore(*, priority: int = CHORE) -> Callable[[Callable[..., None]], dramatiq.Actor[..., Any]]:
    """Make a function an actor under its own name."""

    def declare(work: Callable[..., None]) -> dramatiq.Actor[..., Any]:
        @dramatiq.actor(
            actor_name=work.__name__,
            priority=priority,
            max_retries=MAX_RETRIES,
            min_backoff=MIN_BACKOFF_MS,
            max_backoff=MAX_BACKOFF_MS,
            time_limit=TIME_LIMIT_MS,
        )
        @functools.wraps(work)
        def run(*args: str) -> None:
            with waiting(), suppress(Canceled):
                work(*args)

        return run

    return declare


def is_last_attempt() -> bool:
    """Whether an error of the message being run would be its last."""
    delivery = current_delivery()
    return delivery is not None and delivery.options.get("retries", 0) >= MAX_RETRIES
