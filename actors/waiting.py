"""Waiting for what is busy or away, without a thread, and without counting an attempt: it is not the actor's fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from dramatiq.errors import ConnectionError as BrokerConnectionError
from pymongo.errors import PyMongoError

from broker import current_delivery, reschedule_current
from broker.errors import is_passing
from studio.errors import NotNow

log = structlog.get_logger("actors")

SOONEST_S = 1.0
LONGEST_WAIT_S = 30.0


@contextmanager
def waiting() -> Iterator[None]:
    """Have the message that is being run come again when the block meets NotNow or a database that is away."""
    try:
        yield
    except NotNow as busy:
        _come_again(str(busy), busy.retry_after_s)
    except (PyMongoError, BrokerConnectionError) as error:
        # Of the queue's errors these are the passing ones.
        if isinstance(error, PyMongoError) and not is_passing(error):
            raise
        _come_again(type(error).__name__, None)


def _come_again(what: str, after_s: float | None) -> None:
    delivery = current_delivery()
    waits = delivery.options.get("waits", 0) if delivery else 0
    if after_s is None:
        after_s = min(SOONEST_S * 2.0 ** min(waits, 10), LONGEST_WAIT_S)
        waits += 1
    log.info("step_waits", reason=what, delay_s=after_s)
    reschedule_current(delay_ms=1000 * after_s, options={"waits": waits})
