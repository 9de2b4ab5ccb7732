"""What every broker runs: one actor that does nothing. `dramatiq bench.queues.actors` works it off.

Which broker, where, and what to record come by environment, so that senders and workers of all brokers are one program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import dramatiq
from dramatiq.middleware import AgeLimit, Callbacks, Middleware, Pipelines, Retries, ShutdownNotifications, TimeLimit

from bench.queues.records import Recorder
from bench.queues.settings import ADDRESS, BROKER, DATABASE, HOLDS, PROCESSES, QUEUE, RECORDS

FOR_EVER_S = 3600.0
START_LIMIT_S = 60.0


def make_broker() -> dramatiq.Broker:
    """The broker that the environment names. All have Dramatiq's default middleware without its metrics server."""
    kinds = (AgeLimit, TimeLimit, ShutdownNotifications, Callbacks, Pipelines, Retries)
    middleware: list[Middleware] = [kind() for kind in kinds]
    name, address = os.environ[BROKER], os.environ[ADDRESS]
    if name == "ours":
        from pymongo import MongoClient

        from broker import MongoBroker

        return MongoBroker(database=MongoClient(address)[DATABASE], middleware=middleware)
    if name == "rabbitmq":
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=address, confirm_delivery=True, middleware=middleware)
    from dramatiq.brokers.redis import RedisBroker

    return RedisBroker(url=address, middleware=middleware)


def _recording() -> Callable[[int], None]:
    """What a worker process does for a message. Returns once all processes of this run have come as far."""
    folder = Path(os.environ[RECORDS])
    recorder = Recorder(folder)
    # Otherwise the first process would work alone while the second one is still being started.
    give_up_at = time.monotonic() + START_LIMIT_S
    while len([*folder.glob("*.times")]) < int(os.environ[PROCESSES]) and time.monotonic() < give_up_at:
        time.sleep(0.002)
    if HOLDS not in os.environ:
        return recorder.note

    def note_and_hold(number: int) -> None:
        recorder.note(number)
        time.sleep(FOR_EVER_S)

    return note_and_hold


broker = make_broker()
dramatiq.set_broker(broker)
_note: Callable[[int], None] = _recording() if RECORDS in os.environ else lambda _number: None


@dramatiq.actor(queue_name=QUEUE)
def work(number: int, words: str) -> None:  # noqa: ARG001 (they only weigh)
    """Nothing, at a known time."""
    _note(number)
