"""`python -m tests.broker.schedulers`: a process that watches a schedule of one tick a second, and runs no message.

Its clock is TEST_SKEW_S seconds ahead of everybody else's. It ends when its standard input does.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self

from dramatiq import Worker
from pymongo import MongoClient

from broker import MongoBroker, schedules
from broker.schedules import Schedule, Schedules
from tests.broker.queues import message

EACH_SECOND = Schedule("each-second", "* * * * * *", message("note_tick"))
SKEW_S = float(os.environ["TEST_SKEW_S"])


class SkewedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(seconds=SKEW_S)


def main() -> None:
    real_time = time.time
    time.time = lambda: real_time() + SKEW_S
    setattr(schedules, "datetime", SkewedDatetime)  # noqa: B010 (mypy does not know it as ours to change)
    database = MongoClient[Any](os.environ["TEST_MONGODB_URI"])[os.environ["TEST_DATABASE"]]
    broker = MongoBroker(database=database)
    broker.declare_queue("default")
    watch = Schedules([EACH_SECOND])
    worker = Worker(broker)
    watch.after_worker_boot(broker, worker)
    database.watching.insert_one({"pid": os.getpid()})
    sys.stdin.read()
    watch.before_worker_shutdown(broker, worker)


main()
