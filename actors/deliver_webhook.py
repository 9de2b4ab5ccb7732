"""Tell a deployer's own system that a job has ended: signed, and again for about a day until it says that it has it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from functools import cache
from threading import BoundedSemaphore
from uuid import NAMESPACE_DNS, uuid5

import httpx
import msgspec
import structlog
from pymongo.client_session import ClientSession

from actors.chores import chore
from actors.waiting import SOONEST_S
from actors.wiring import broker, studio
from broker import reschedule_current
from studio.deliveries import Delivery, DeliveryStatus
from studio.errors import NotNow
from studio.jobs import Job
from studio.records import server_time
from studio.signatures import read_secret, sign

GIVE_UP_AFTER = timedelta(days=1)
FIRST_DELAY_S = 5.0
GROWTH = 4.0
LONGEST_DELAY_S = 6 * 3600.0
"""5 s, 20 s, 80 s, 5 min, 21 min, 85 min, and then every six hours: eleven attempts or so."""
TIMEOUT_S = 15.0
"""Within which a receiver should have answered; what takes it longer it should do afterwards."""
AT_ONCE = 2
"""Attempts of one process. A receiver that hangs holds so many of its threads, and the others make films."""

_places = BoundedSemaphore(AT_ONCE)
_MESSAGES = uuid5(NAMESPACE_DNS, "deliveries.huaban")
# Refusals that say "not now".
_PASSING = {408, 409, 425, 429}

log = structlog.get_logger("actors")


def announce(job: Job, session: ClientSession) -> None:
    """Have the end of a job told, in the transaction that ends it."""
    if studio.settings.webhook_url:
        delivery = studio.deliveries.open(job, session=session)
        broker.enqueue(deliver_webhook.message(delivery.id).copy(message_id=str(uuid5(_MESSAGES, delivery.id))))


# Here and not where jobs are ended: so no way of ending one can forget it.
studio.jobs.when_ended = announce


@chore()
def deliver_webhook(delivery_id: str) -> None:
    """Make one attempt, and come again where it was not the last."""
    delivery = studio.deliveries.load(delivery_id)
    if delivery is None or delivery.status is not DeliveryStatus.WAITING:
        return
    if not studio.settings.webhook_url:
        # Nobody wants to be told any more.
        studio.deliveries.note(delivery, DeliveryStatus.GIVEN_UP, reason="WEBHOOK_URL is not set")
        return
    now = server_time(studio.client)
    age = now - delivery.created_at
    if _places.acquire(blocking=False):
        try:
            status_code, reason = send(delivery, now)
        finally:
            _places.release()
    elif age > GIVE_UP_AFTER and delivery.attempts:
        # One that was never tried waits on: workers may have stood still for a day, and not the receiver.
        status_code, reason = None, "no turn"
    else:
        # The older it is the more wait with it, and the less it matters when exactly it comes again.
        wait_s = min(max(SOONEST_S, age.total_seconds() / 2), LONGEST_DELAY_S)
        raise NotNow("others are being delivered", retry_after_s=_spread(wait_s))
    status = status_after(status_code, age=age)
    noted = studio.deliveries.note(delivery, status, status_code=status_code, reason=reason)
    log.info("webhook", outcome=status, answer=status_code, reason=reason, attempt=len(delivery.attempts) + 1)
    if noted and status is DeliveryStatus.WAITING:
        reschedule_current(delay_ms=1000 * delay_s(len(noted.attempts)))


def send(delivery: Delivery, now: datetime) -> tuple[int | None, str | None]:
    """The receiver's answer, or why there was none. Signed anew each time: the time in it is the attempt's."""
    settings, body = studio.settings, body_of(delivery)
    timestamp = int(now.timestamp())
    keys = [read_secret(secret.get_secret_value()) for secret in settings.webhook_secrets]
    headers = {
        "content-type": "application/json",
        "user-agent": "HuaBan",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, delivery.id, timestamp, body),
    }
    try:
        # What the answer says beyond its status is not read: it may be endless.
        with _client().stream("POST", settings.webhook_url, content=body, headers=headers) as answer:
            return answer.status_code, None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, type(error).__name__


def body_of(delivery: Delivery) -> bytes:
    """What is told, the same bytes on every attempt."""
    ended = delivery.job
    data = {
        "jobId": ended.job_id,
        "artworkId": ended.artwork_id,
        "kind": ended.kind,
        "status": ended.status,
        "version": ended.version,
        "error": ended.error,
        "finishedAt": ended.finished_at,
    }
    return msgspec.json.encode({"type": f"job.{ended.status}", "timestamp": ended.finished_at, "data": data})


def status_after(status_code: int | None, *, age: timedelta) -> DeliveryStatus:
    """What an answer comes to; None where there was none."""
    if status_code is not None and 200 <= status_code < 300:
        return DeliveryStatus.DELIVERED
    if status_code is not None and 400 <= status_code < 500 and status_code not in _PASSING:
        return DeliveryStatus.REFUSED
    return DeliveryStatus.GIVEN_UP if age > GIVE_UP_AFTER else DeliveryStatus.WAITING


def delay_s(attempts: int) -> float:
    """How long to wait after so many attempts. Not for all deliveries the same, or they would come back together."""
    delay: float = min(FIRST_DELAY_S * GROWTH ** (attempts - 1), LONGEST_DELAY_S)
    return _spread(delay)


def _spread(delay: float) -> float:
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 (guards no secret)


@cache
def _client() -> httpx.Client:
    # Made when first used, and so after a worker has forked. It follows no redirect: what is told is for one address.
    return httpx.Client(timeout=TIMEOUT_S)
