"""What the actors share that are no steps of a job: they wait, and do not fail, while something outside is away."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import dramatiq
import structlog
from pymongo.errors import PyMongoError

from broker import current_delivery, reschedule_current
from broker.errors import is_passing
from studio.errors import NotNow

log = structlog.get_logger("actors")

CHORE = 5
"""The priority of work that nobody waits for."""
MAX_RETRIES = 5
MIN_BACKOFF_MS = 1_000
MAX_BACKOFF_MS = 60_000
TIME_LIMIT_MS = 60 * 60 * 1000
LOOK_AGAIN_S = 5.0


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
            try:
                work(*args)
            except NotNow as busy:
                _wait(work.__name__, str(busy), busy.retry_after_s)
            except PyMongoError as error:
                if not is_passing(error):
                    raise
                _wait(work.__name__, type(error).__name__, None)

        return run

    return declare


def is_last_attempt() -> bool:
    """Whether an error of the message being run would be its last."""
    delivery = current_delivery()
    return delivery is not None and delivery.options.get("retries", 0) >= MAX_RETRIES


def _wait(actor: str, what: str, retry_after_s: float | None) -> None:
    """Run the message again later without counting an attempt."""
    delay_s = LOOK_AGAIN_S if retry_after_s is None else retry_after_s
    log.info("chore_waits", actor=actor, reason=what, delay_s=delay_s)
    reschedule_current(delay_ms=1000 * delay_s)
