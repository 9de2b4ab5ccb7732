"""Whether finished messages that are kept slow claims down."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dramatiq import Message
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

from bench.queues.place import Place, until
from bench.queues.settings import DATABASE, arguments
from broker import MongoBroker, State, documents
from broker.consumer import MongoConsumer

ROUNDS = 300
BATCH = 16
AT_ONCE = 5_000
SETTLE_S = 5.0
PATIENCE_S = 30.0
QUEUES = {"claim, nothing kept": "short", "claim, many kept": "long"}


def measure(place: Place, *, kept: int) -> dict[str, list[float]]:
    """Milliseconds of claims through the broker's own consumers, of two queues of one database in turns."""
    with MongoClient[dict[str, Any]](place.address) as client:
        broker = MongoBroker(database=client[DATABASE], middleware=[])
        for name in QUEUES.values():
            broker.declare_queue(name)
        # Made by the consumers: the indexes, which the finished messages have to be in.
        consumers = {name: broker.consume(name, prefetch=BATCH, timeout=1000) for name in QUEUES.values()}
        try:
            _keep(broker.queues["long"], kept)
            client.admin.command("fsync")
            time.sleep(SETTLE_S)
            found: dict[str, list[float]] = {figure: [] for figure in QUEUES}
            for number in range(ROUNDS):
                for figure in sorted(QUEUES, reverse=number % 2 == 0):
                    name = QUEUES[figure]
                    found[figure].append(1000 * _claim_s(broker, name, consumers[name]))
            return found
        finally:
            for consumer in consumers.values():
                consumer.close()
            broker.close()


def _claim_s(broker: MongoBroker, name: str, consumer: MongoConsumer) -> float:
    """Seconds that a claim of one batch took; the batch is worked off afterwards."""
    broker.enqueue_many([_message(name) for _ in range(BATCH)])
    began = time.monotonic()
    first = next(consumer)
    took_s = time.monotonic() - began
    batch = [first, *(next(consumer) for _ in range(BATCH - 1))]
    for delivery in batch:
        if delivery is None:
            raise TimeoutError("a message was not delivered")
        consumer.ack(delivery)
    held = {"state": State.CONSUMED, "lease.worker": {"$gt": ""}}
    until(lambda: broker.queues[name].find_one(held, {"_id": 1}) is None, limit_s=PATIENCE_S)
    return took_s


def _keep(queue: Collection[Any], count: int) -> None:
    """Put finished messages into a queue, as their acks would have left them."""
    fast = queue.with_options(write_concern=WriteConcern(w=1))
    expire_at = datetime.now(UTC) + timedelta(days=1)
    for start in range(0, count, AT_ONCE):
        messages = [_message(queue.name) for _ in range(start, min(start + AT_ONCE, count))]
        fast.insert_many(
            [
                {
                    **documents.new(UUID(message.message_id), {"msg": message.asdict()}, priority=0),
                    "state": State.DONE,
                    "expire_at": expire_at,
                }
                for message in messages
            ],
            ordered=False,
        )


def _message(queue_name: str) -> Message[Any]:
    return Message(queue_name=queue_name, actor_name="work", args=arguments(0), kwargs={}, options={})
