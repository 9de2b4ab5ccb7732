"""Age limits, time limits and shutdown notifications."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from tests.broker.conformance.conftest import LIMIT_MS, Finish, Start
from tests.broker.conformance.hooks import Recorder, actor, dead, only_mongo
from tests.waiting import eventually


def run_for_ever() -> None:
    """In short waits, since only Python code can be interrupted."""
    while True:
        threading.Event().wait(0.005)


@pytest.fixture
def watched(broker: Broker) -> None:
    """Time limits are watched by a thread that the command line starts in each process."""
    broker.emit_after("process_boot")


@pytest.mark.parametrize("said_by", ["actor", "message"])
def test_message_over_its_age_does_not_run(broker: Broker, finish: Finish, runs: list[Any], said_by: str) -> None:
    by_actor: dict[str, Any] = {"max_age": 1} if said_by == "actor" else {}
    by_message: dict[str, Any] = {"max_age": 1} if said_by == "message" else {}
    note = dramatiq.actor(lambda: runs.append("run"), actor_name="note", **by_actor)
    old = broker.enqueue(note.message_with_options(**by_message).copy(message_timestamp=0))
    finish()
    assert runs == []
    assert dead(broker) == {old.message_id}


def test_young_message_runs(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    dramatiq.actor(lambda: runs.append("run"), actor_name="note", max_age=LIMIT_MS).send()
    finish()
    assert runs == ["run"]


def test_skip_for_age_is_told_as_a_skip(broker: Broker, finish: Finish, recorder: Recorder) -> None:
    note = dramatiq.actor(lambda: None, actor_name="note", max_age=1)
    broker.enqueue(note.message().copy(message_timestamp=0))
    finish()
    assert recorder.names("process_message", "skip", "ack") == ["after_skip_message", "before_nack", "after_nack"]


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("said_by", ["actor", "message"])
def test_run_over_its_time_is_interrupted(broker: Broker, finish: Finish, runs: list[Any], said_by: str) -> None:
    by_actor: dict[str, Any] = {"time_limit": 10} if said_by == "actor" else {}
    by_message: dict[str, Any] = {"time_limit": 10} if said_by == "message" else {}

    @actor(max_retries=1, **by_actor)
    def endless() -> None:
        try:
            run_for_ever()
        except TimeLimitExceeded:
            runs.append("interrupted")
            raise

    sent = endless.send_with_options(**by_message)
    finish()
    assert runs == ["interrupted", "interrupted"]
    assert dead(broker) == {sent.message_id}


@pytest.mark.usefixtures("watched")
def test_actor_may_end_well_after_its_time(broker: Broker, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor(time_limit=10)
    def endless() -> None:
        try:
            run_for_ever()
        except TimeLimitExceeded:
            runs.append("tidied up")

    note = dramatiq.actor(lambda: runs.append("next"), actor_name="note")
    start(threads=1)
    endless.send()
    eventually(lambda: runs)
    note.send()
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["tidied up", "next"]
    assert dead(broker) == set()


@pytest.mark.usefixtures("watched")
def test_coroutine_over_its_time_is_cancelled(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @actor(time_limit=10, max_retries=0)
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(runs.append, "tidied up")

    sent = endless.send()
    finish()
    assert runs == ["tidied up"]
    assert dead(broker) == {sent.message_id}


# The stub forgets what its worker has read and not begun.
@only_mongo
def test_actor_is_notified_of_the_shutdown_and_repeated_by_the_next_worker(
    broker: Broker, start: Start, runs: list[Any]
) -> None:
    @dramatiq.actor(notify_shutdown=True)
    def endless() -> None:
        runs.append("begun")
        if len(runs) == 1:
            try:
                run_for_ever()
            except Shutdown:
                runs.append("notified")
                raise

    worker = start()
    endless.send()
    eventually(lambda: runs == ["begun"])
    worker.stop()
    start()
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["begun", "notified", "begun"]


def test_notified_actor_without_repeats_is_a_dead_letter(broker: Broker, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor(notify_shutdown=True, max_retries=0)
    def endless() -> None:
        runs.append("begun")
        run_for_ever()

    worker = start()
    sent = endless.send()
    eventually(lambda: runs)
    worker.stop()
    assert dead(broker) == {sent.message_id}


def test_message_asks_for_the_notification_itself(broker: Broker, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor(max_retries=0)
    def endless() -> None:
        runs.append("begun")
        run_for_ever()

    worker = start()
    sent = endless.send_with_options(notify_shutdown=True)
    eventually(lambda: runs)
    worker.stop()
    assert dead(broker) == {sent.message_id}


def test_worker_that_stops_lets_its_actors_finish(broker: Broker, start: Start, runs: list[Any]) -> None:
    release = threading.Event()

    @dramatiq.actor
    def hold() -> None:
        runs.append("begun")
        release.wait()
        runs.append("finished")

    worker = start()
    hold.send()
    eventually(lambda: runs)
    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(worker.stop)
        eventually(lambda: not any(thread.running for thread in worker.workers))
        assert not stopped.done()
        release.set()
        stopped.result()
    assert runs == ["begun", "finished"]
    broker.join("default", timeout=LIMIT_MS)


@only_mongo
def test_worker_that_stops_gives_back_what_it_has_not_begun(broker: Broker, start: Start, runs: list[Any]) -> None:
    release = threading.Event()

    @dramatiq.actor
    def hold(name: str) -> None:
        runs.append(name)
        release.wait()

    worker = start(threads=1, prefetch=4)
    hold.send("first")
    eventually(lambda: runs)
    for name in "abc":
        hold.send(name)
    eventually(lambda: worker.work_queue.qsize() == 3)
    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(worker.stop)
        eventually(lambda: not any(thread.running for thread in worker.workers))
        release.set()
        stopped.result()
    assert runs == ["first"]
    start(threads=1)
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["first", "a", "b", "c"]
