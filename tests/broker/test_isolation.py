"""A message on its last life runs alone in its process."""

from __future__ import annotations

from threading import Event
from typing import Any

import dramatiq
import pytest

from broker import MongoBroker
from tests.broker.conftest import StartWorker
from tests.broker.queues import Queue
from tests.waiting import eventually


class Runs:
    """Actors that note when they run, and the one that waits to be let go."""

    def __init__(self, broker: MongoBroker) -> None:
        self.noted: list[str] = []
        self.let_go = Event()

        @dramatiq.actor(broker=broker, actor_name="note")
        def note(name: str) -> None:
            self.noted.append(name)

        @dramatiq.actor(broker=broker, actor_name="wait")
        def wait(name: str) -> None:
            self.noted.append(name)
            assert self.let_go.wait(timeout=60)

        self.note: Any = note
        self.wait: Any = wait


@pytest.fixture
def runs(broker: MongoBroker) -> Runs:
    return Runs(broker)


def suspect(queue: Queue, sent: Any) -> None:
    """It has died with its worker twice."""
    queue.collection.update_one({"msg.message_id": sent.message_id}, {"$set": {"crashes": 2}})


def test_suspect_waits_until_nothing_else_runs_here(
    broker: MongoBroker, queue: Queue, runs: Runs, start_worker: StartWorker
) -> None:
    runs.wait.send("first")
    last = runs.note.send("suspect")
    suspect(queue, last)
    start_worker(broker, threads=4)
    eventually(lambda: queue.states() == {"CONSUMED": 2})
    assert runs.noted == ["first"]
    runs.let_go.set()
    broker.join("default", timeout=60_000)
    assert runs.noted == ["first", "suspect"]


def test_nothing_is_started_beside_a_suspect(
    broker: MongoBroker, queue: Queue, runs: Runs, start_worker: StartWorker
) -> None:
    suspect(queue, runs.wait.send("suspect"))
    for name in ("second", "third"):
        runs.note.send(name)
    start_worker(broker, threads=4)
    eventually(lambda: runs.noted == ["suspect"])
    assert queue.states() == {"CONSUMED": 1, "QUEUED": 2}
    runs.let_go.set()
    broker.join("default", timeout=60_000)
    assert runs.noted[0] == "suspect"
    assert sorted(runs.noted[1:]) == ["second", "third"]


def test_one_suspect_runs_at_a_time(broker: MongoBroker, queue: Queue, runs: Runs, start_worker: StartWorker) -> None:
    for name in ("one", "two"):
        suspect(queue, runs.wait.send(name))
    start_worker(broker, threads=4)
    eventually(lambda: len(runs.noted) == 1)
    assert queue.states() == {"CONSUMED": 1, "QUEUED": 1}
    runs.let_go.set()
    broker.join("default", timeout=60_000)
    assert sorted(runs.noted) == ["one", "two"]


def test_suspects_of_two_queues_run_one_after_the_other(
    broker: MongoBroker, queue: Queue, runs: Runs, start_worker: StartWorker
) -> None:
    @dramatiq.actor(broker=broker, queue_name="other", actor_name="elsewhere")
    def elsewhere(name: str) -> None:
        runs.noted.append(name)

    suspect(queue, runs.wait.send("here"))
    there = elsewhere.send("there")
    other = Queue(queue.collection.database["other"])
    suspect(other, there)
    start_worker(broker, threads=4)
    eventually(lambda: runs.noted)
    runs.let_go.set()
    for name in ("default", "other"):
        broker.join(name, timeout=60_000)
    assert sorted(runs.noted) == ["here", "there"]


def test_others_go_on_when_the_suspect_has_run(
    broker: MongoBroker, queue: Queue, runs: Runs, start_worker: StartWorker
) -> None:
    suspect(queue, runs.wait.send("suspect"))
    start_worker(broker, threads=4)
    eventually(lambda: runs.noted == ["suspect"])
    # Silent, and so at rest: what is sent meanwhile waits for the end.
    bell = broker.lookout._bells["default"]
    eventually(lambda: bell._is_waiting)
    runs.note.send("second")
    runs.let_go.set()
    broker.join("default", timeout=60_000)
    assert runs.noted == ["suspect", "second"]
