"""What the messages of the nemesis ask for: `dramatiq tests.faults.errands`.

Every run is written into the history. Its completion is a document: a plain errand's is an upsert, as an idempotent
actor would do it; a transactional one's is an insert in the transaction that also finishes the message and sends the
next one, so that a second completion would be a second document.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries, ShutdownNotifications, TimeLimit
from pymongo import MongoClient
from pymongo.client_session import ClientSession

from broker import Delivery, MongoBroker, complete_current, current_delivery, run_in_transaction
from tests.faults.history import Scribe, process_name

scribe = Scribe(Path(os.environ["NEMESIS_HISTORY"]))


class Boots(dramatiq.Middleware):
    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        scribe.write("boot", main=process_name(os.getppid()))


client: MongoClient[Any] = MongoClient(os.environ["NEMESIS_URI"], appname="nemesis", heartbeatFrequencyMS=500)
database = client[os.environ["NEMESIS_DATABASE"]]
broker = MongoBroker(
    database=database,
    lease_s=float(os.environ["NEMESIS_LEASE_S"]),
    middleware=[
        Boots(),
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        Retries(min_backoff=50, max_backoff=500),
    ],
)
dramatiq.set_broker(broker)


def running() -> Delivery:
    delivery = current_delivery()
    assert delivery is not None
    return delivery


def write(event: str, **fields: Any) -> None:
    scribe.write(event, message=running().message_id, token=str(running().token), **fields)


def mark_running(*given: Any) -> Any:
    """Written down first: who is not in the history as taken must not be charged."""
    write("taken")
    return _mark_running(*given)


_mark_running = broker.lease.mark_running
broker.lease.mark_running = mark_running  # type: ignore[assignment, method-assign]


def errand(work: Callable[[int], None]) -> dramatiq.Actor[[int], None]:
    """An actor whose argument is for how many milliseconds it works, and whose runs are in the history."""

    @wraps(work)
    def told(work_ms: int) -> None:
        write("start")
        try:
            time.sleep(work_ms / 1000)
            work(work_ms)
        except BaseException as error:
            write("end", error=type(error).__name__)
            raise
        write("end")

    return dramatiq.actor(told)


def complete_plainly() -> None:
    database.completions.update_one(
        {"_id": running().message_id}, {"$setOnInsert": {"message": running().message_id}}, upsert=True
    )
    write("effect")


@errand
def plain(work_ms: int) -> None:
    complete_plainly()


def complete_in_transaction(work_ms: int, *, before_commit: Callable[[], None] = lambda: None) -> None:
    delivery = running()

    def work(session: ClientSession) -> None:
        next_one = plain.send(work_ms)
        completion = {
            "message": delivery.message_id,
            "token": str(delivery.token),
            "follow_up": next_one.message_id,
        }
        database.completions.insert_one(completion, session=session)
        complete_current()
        before_commit()

    run_in_transaction(client, work)
    write("effect")


def die(*, of: str) -> None:
    scribe.write("death", of=scribe.process, by=of)
    os.kill(os.getpid(), signal.SIGKILL)


@errand
def transactional(work_ms: int) -> None:
    complete_in_transaction(work_ms)


@errand
def retried(work_ms: int) -> None:
    """Asks for another run at the first one: every other time by Dramatiq's exception, or fails."""
    if not running().options.get("retries"):
        if work_ms % 2:
            raise dramatiq.Retry("not yet", delay=100)
        raise TimeoutError("the first run fails")
    complete_plainly()


@errand
def caught(work_ms: int) -> None:
    """Dies at its first run with a transaction open, which has written the message and will never end by itself."""
    is_first = running().crashes == 0
    complete_in_transaction(work_ms, before_commit=lambda: die(of="caught") if is_first else None)


@errand
def poison(work_ms: int) -> None:
    die(of="poison")
