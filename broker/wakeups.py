"""Telling idle consumers that something was enqueued: one change stream per process, taken as a hint only."""

from __future__ import annotations

import re
from collections import defaultdict
from threading import Event, Lock, Thread
from typing import Any

from dramatiq.logging import get_logger
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from broker.documents import State

_WAITING = {"$in": [State.QUEUED, State.DELAYED]}
_NO_REPLICA_SET = 40573
REOPEN_AFTER_S = 1.0


class Wakeups:
    """Sets a consumer's event when its queue has something new. Consumers look by themselves every second anyway."""

    def __init__(self, database: Database[Any], collection_prefix: str) -> None:
        self.logger = get_logger(__name__, type(self))
        self._database = database
        self._prefix = collection_prefix
        self._events: dict[str, set[Event]] = defaultdict(set)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._stop = Event()

    def subscribe(self, collection_name: str) -> Event:
        event = Event()
        with self._lock:
            self._events[collection_name].add(event)
        return event

    def unsubscribe(self, collection_name: str, event: Event) -> None:
        with self._lock:
            self._events[collection_name].discard(event)

    def start(self) -> None:
        """Start listening, unless this process listens already."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive() or self._stop.is_set():
                self._stop = Event()
                self._thread = Thread(target=self._run, args=(self._stop,), name="queue-wakeups", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop listening; the thread ends by itself within a second."""
        self._stop.set()

    def _run(self, stop: Event) -> None:
        while not stop.is_set():
            try:
                self._listen(stop)
            except OperationFailure as error:
                if error.code == _NO_REPLICA_SET:
                    self.logger.warning("MongoDB runs without a replica set; queues are polled every second.")
                    return
                self._say_broken(error, stop)
            except PyMongoError as error:
                self._say_broken(error, stop)
            stop.wait(REOPEN_AFTER_S)

    def _say_broken(self, error: PyMongoError, stop: Event) -> None:
        # At the end the client is closed under the stream.
        if not stop.is_set():
            self.logger.warning("The change stream broke (%s); it is opened again.", type(error).__name__)

    def _listen(self, stop: Event) -> None:
        pipeline: list[dict[str, Any]] = [
            {
                "$match": {
                    "ns.coll": {"$regex": f"^{re.escape(self._prefix)}"},
                    "$or": [
                        {"fullDocument.state": _WAITING},
                        {"updateDescription.updatedFields.state": _WAITING},
                    ],
                }
            },
            {"$project": {"ns.coll": 1}},
        ]
        with self._database.watch(pipeline, max_await_time_ms=1000) as stream:
            # What was enqueued before the stream was open has woken nobody.
            self.wake_all()
            while not stop.is_set():
                change = stream.try_next()
                if change:
                    self._wake(change["ns"]["coll"])

    def _wake(self, collection_name: str) -> None:
        with self._lock:
            for event in self._events.get(collection_name, ()):
                event.set()

    def wake_all(self) -> None:
        """Let every consumer look: for new messages, or whether it is to stop."""
        for collection_name in list(self._events):
            self._wake(collection_name)
