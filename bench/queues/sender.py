"""The process that sends: `python -m bench.queues.sender <way> <count>` prints what it measured as JSON."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import dramatiq
from pymongo import WriteConcern

from bench.queues.actors import broker, work
from bench.queues.settings import BROKER, QUEUE, arguments
from broker import MongoBroker, documents

BLOCK = 250
GAP_S = (0.02, 0.06)
QUIET_S = 3.0
DELAY_MS = 24 * 3_600_000


class Clock:
    """Adds up the time of blocks of code."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds += time.monotonic() - began


def single(count: int) -> dict[str, float]:
    """Messages per second, one after another; with ours, bare inserts of the same documents are done in turns."""
    sends, inserts = Clock(), Clock()
    insert = _bare_insert() if os.environ[BROKER] == "ours" else None
    _send(0)
    for start in range(1, count, BLOCK):
        numbers = range(start, min(start + BLOCK, count))
        with sends.running():
            for number in numbers:
                _send(number)
        if insert:
            bare = [_document(number) for number in numbers]
            with inserts.running():
                for document in bare:
                    insert(document)
    rates = {"rate": (count - 1) / sends.seconds}
    return {**rates, "bare": (count - 1) / inserts.seconds} if insert else rates


def bulk(count: int) -> dict[str, float]:
    """Messages per second as a whole: by `enqueue_many` where the broker has it, else as a group sends them."""
    _send(0)
    clock = Clock()
    with clock.running():
        messages = [work.message(*arguments(number)) for number in range(1, count)]
        if os.environ[BROKER] == "ours":
            _ours().enqueue_many(messages)
        else:
            dramatiq.group(messages).run()
    return {"rate": (count - 1) / clock.seconds}


def paced(count: int) -> dict[int, int]:
    """When each message was sent, at random moments."""
    pace = random.Random(1)  # noqa: S311 (the same moments for every broker)
    return _timed(range(count), wait_s=lambda: pace.uniform(*GAP_S))


def rare(count: int) -> dict[int, int]:
    """When each message was sent, always after some seconds in which nothing happened."""
    return _timed(range(count), wait_s=lambda: QUIET_S)


def delayed(count: int) -> dict[str, float]:
    """Messages that are not due for a day."""
    for start in range(0, count, 10_000):
        messages = [work.message(*arguments(number)) for number in range(start, min(start + 10_000, count))]
        _ours().enqueue_many(messages, delay=DELAY_MS)
    return {}


def _ours() -> MongoBroker:
    return cast("MongoBroker", broker)


def _send(number: int) -> None:
    work.send(*arguments(number))


def _timed(numbers: range, *, wait_s: Callable[[], float]) -> dict[int, int]:
    sent = {}
    _send(-1)  # connects, and is not counted
    for number in numbers:
        time.sleep(wait_s())
        sent[number] = time.monotonic_ns()
        _send(number)
    return sent


def _bare_insert() -> Callable[[dict[str, Any]], Any]:
    queue = _ours().queues[QUEUE]
    bare = queue.database.get_collection(
        "bare", codec_options=queue.codec_options, write_concern=WriteConcern("majority", j=True)
    )
    bare.insert_one({})
    return bare.insert_one


def _document(number: int) -> dict[str, Any]:
    """The document of a message, as the broker makes it."""
    message = work.message(*arguments(number))
    return documents.new(UUID(message.message_id), {"msg": message.asdict()}, priority=work.priority)


WAYS: dict[str, Callable[[int], Any]] = {way.__name__: way for way in (single, bulk, paced, rare, delayed)}

if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](int(sys.argv[2]))))
