"""The sending side: seeded errands, sent by several threads as far as the nemesis has released them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from types import TracebackType
from typing import Any, Self

from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from pymongo import MongoClient

from broker import MongoBroker
from tests.faults.history import Scribe

POISON = "poison"
"""Kills its worker each time it runs."""
CAUGHT = "caught"
"""Kills its worker once, in the middle of its transaction."""
_WEIGHTS = {"plain": 40, "transactional": 25, "retried": 15, "delayed": 20}


@dataclass(frozen=True)
class Errand:
    kind: str
    work_ms: int
    delay_ms: int | None = None

    def message(self) -> Message[Any]:
        actor = "plain" if self.kind == "delayed" else self.kind
        return Message(queue_name="default", actor_name=actor, args=(self.work_ms,), kwargs={}, options={})


def errands(count: int, *, deadly: int, lease_s: float, rng: random.Random) -> list[Errand]:
    """A mixture of all kinds, `deadly` ones of each deadly kind. Most take milliseconds, a few longer than a lease."""
    todo = [_errand(lease_s, rng) for _ in range(count)]
    places = rng.sample(range(count), 2 * deadly)
    for number, place in enumerate(places):
        todo[place] = Errand(POISON if number % 2 else CAUGHT, 0)
    return todo


def _errand(lease_s: float, rng: random.Random) -> Errand:
    kind = rng.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
    lengths = [rng.randint(1, 25), rng.randint(100, 300), int(lease_s * 1500)]
    work_ms = rng.choices(lengths, [960, 37, 3])[0]
    return Errand(kind, work_ms, rng.randint(1, 2000) if kind == "delayed" else None)


class Senders:
    """Enqueues errands in order and writes down what it was told."""

    def __init__(self, client: MongoClient[Any], database: str, todo: list[Errand], scribe: Scribe) -> None:
        self._broker = MongoBroker(database=client[database], middleware=[])
        self._broker.declare_queue("default")
        self._scribe = scribe
        self._todo = todo
        self._taken = 0
        self._released = 0
        self._turn = Condition()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="sender")
        self._work: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._work = [self._pool.submit(self._send_all) for _ in range(2)]
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        with self._turn:
            self._todo = []
            self._turn.notify_all()
        self._pool.shutdown()
        self._broker.close()

    def release(self, count: int) -> None:
        """Let the first `count` errands be sent."""
        with self._turn:
            self._released = max(self._released, count)
            self._turn.notify_all()

    def are_done(self) -> bool:
        """Whether everything was sent. Raises what a sender did not expect."""
        for work in self._work:
            if work.done():
                work.result()
        return all(work.done() for work in self._work)

    def _send_all(self) -> None:
        for errand in self._released_errands():
            message = errand.message()
            told = {"message": message.message_id, "kind": errand.kind}
            self._scribe.write("sending", **told)
            try:
                self._broker.enqueue(message, delay=errand.delay_ms)
            except BrokerConnectionError:
                self._scribe.write("unknown", **told)
            else:
                self._scribe.write("sent", **told)

    def _released_errands(self) -> Iterator[Errand]:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._taken < self._released or self._taken >= len(self._todo))
                if self._taken >= len(self._todo):
                    self._turn.notify_all()
                    return
                errand = self._todo[self._taken]
                self._taken += 1
            yield errand
