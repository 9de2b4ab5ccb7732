"""The fourteen promises of the queue, each one from end to end. The modules beside this one go into their depths."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime, timedelta
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import dramatiq
import pytest
from dramatiq import pipeline
from dramatiq.middleware import CurrentMessage, GroupCallbacks, Pipelines
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.results import Results
from pymongo.database import Database

from app.stack import Servers
from broker import (
    MongoBroker,
    MongoRateLimiterBackend,
    MongoResultBackend,
    Schedule,
    Schedules,
    group,
    list_dead,
    purge_dead,
    retry_dead,
    transaction,
)
from broker.lookout import Lookout
from tests.broker.commands import Commands
from tests.broker.conftest import MakeBroker, StartProcess, StartWorker
from tests.broker.processes import Runs
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


class Change(Exception):
    """Somebody changes their mind."""


def test_promise_01_enqueue_is_safe_when_it_returns(servers: Servers, broker: MongoBroker, queue: Queue) -> None:
    sent = [broker.enqueue(message("note", number), delay=number % 2 * AN_HOUR_MS or None) for number in range(20)]
    servers.mongod.kill()
    servers.mongod.restart()
    assert [queue.state(one) for one in sent] == ["QUEUED", "DELAYED"] * 10


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_promise_01_enqueue_joins_a_transaction(
    broker: MongoBroker, queue: Queue, database: Database[Any], ends: str
) -> None:
    def order() -> None:
        with transaction(broker.database.client) as session:
            broker.database.orders.insert_one({}, session=session)
            broker.enqueue(message())
            broker.enqueue_many([message() for _ in range(3)], delay=AN_HOUR_MS)
            if ends == "badly":
                raise Change

    if ends == "badly":
        with pytest.raises(Change):
            order()
    else:
        order()
    assert queue.states() == ({"QUEUED": 1, "DELAYED": 3} if ends == "well" else {})
    assert database.orders.count_documents({}) == (1 if ends == "well" else 0)


def test_promise_02_two_processes_race_for_each_message_and_one_runs_it(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    start_process(processes=2, prefetch=1)
    for number in range(30):
        # Both have nothing to do and are woken by the same change.
        broker.enqueue(message("note", str(number)))
        eventually(lambda number=number: queue.states() == {"DONE": number + 1})  # type: ignore[misc]
    assert runs.counts() == {str(number): 1 for number in range(30)}


def test_promise_02_messages_of_a_killed_process_run_on_another(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    # Two commands, because one stops all its processes when it loses one.
    victim = start_process(prefetch=3)
    broker.enqueue(message("hold", "held"))
    eventually(lambda: runs.of("held"))
    rescuer = start_process(prefetch=3)
    broker.enqueue_many(message("note", str(number)) for number in range(20))
    # The rescuer has run what the victim does not hold.
    eventually(lambda: queue.states()["QUEUED"] == 0 and queue.states()["CONSUMED"] <= 3)
    victim.signal_workers(SIGKILL)
    runs.open_gate("held")
    eventually(lambda: queue.states() == {"DONE": 21})
    assert runs.of("held") == victim.workers + rescuer.workers
    assert {name: count for name, count in runs.counts().items() if count > 1} == {"held": 2}


def test_promise_03_process_that_lost_its_lease_cannot_touch_the_newer_delivery(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs, database: Database[Any]
) -> None:
    both = [start_process(lease_s=3.0) for _ in range(2)]
    sent = broker.enqueue(message("hold", "film"))
    first = eventually(lambda: runs.of("film"))
    frozen, other = sorted(both, key=lambda worker: worker.workers != first)
    # Until its guardian has renewed it, a lease lasts for as long as a guardian may take to start.
    eventually(lambda: database.dramatiq_workers.count_documents({"sessions": []}) == 2)
    frozen.signal_workers(SIGSTOP)
    eventually(lambda: len(runs.of("film")) == 2)
    frozen.signal_workers(SIGCONT)
    runs.open_gate("film")
    eventually(lambda: len(runs.of("film", "end")) == 2 and queue.state(sent) == "DONE")
    done = queue.document(sent)
    other.kill()
    # Its acks go in order: once this one is written, the late one has been tried.
    after = broker.enqueue(message("note", "after"))
    eventually(lambda: queue.state(after) == "DONE")
    assert runs.of("after") == frozen.workers
    assert queue.document(sent) == done


def test_promise_03_retry_is_a_reschedule_that_the_ack_leaves_alone(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    start_process()
    sent = broker.enqueue(message("try_later", "film", AN_HOUR_MS))
    eventually(lambda: queue.state(sent) == "DELAYED")
    after = broker.enqueue(message("note", "after"))
    eventually(lambda: queue.state(after) == "DONE")
    assert queue.state(sent) == "DELAYED"
    assert queue.document(sent)["msg"]["options"]["retries"] == 1


def test_promise_04_message_that_kills_three_processes_is_a_dead_letter_and_charges_nobody_else(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    for _ in range(4):
        start_process(prefetch=4)
    poison, *neighbours = broker.enqueue_many(
        [message("die", "poison"), *(message("note", str(number)) for number in range(9))]
    )
    eventually(lambda: queue.states() == {"REJECTED": 1, "DONE": 9})
    assert len(set(runs.of("poison"))) == len(runs.of("poison")) == 3
    assert queue.document(poison)["reason"] == "its worker died each time it ran"
    assert [queue.document(sent)["crashes"] for sent in neighbours] == [0] * 9


def test_promise_05_delays_and_retries_are_due_times_in_the_database(
    broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    ran: list[str] = []

    def declare(on: MongoBroker) -> dramatiq.Actor[..., Any]:
        def work(name: str) -> None:
            ran.append(name)
            if ran.count("retried") == 1 and name == "retried":
                raise dramatiq.Retry("later", delay=AN_HOUR_MS)

        return dramatiq.actor(work, broker=on)

    work = declare(broker)
    delayed, retried = work.send_with_options(args=("delayed",), delay=AN_HOUR_MS), work.send("retried")
    worker = start_worker(broker)
    eventually(lambda: queue.states() == {"DELAYED": 2})
    assert [consumer.delay_queue.qsize() for consumer in worker.consumers.values()] == [0]
    worker.stop()
    now = broker.database.client.admin.command("hello")["localTime"]
    for sent in (delayed, retried):
        assert timedelta(minutes=50) < queue.document(sent)["due"] - now <= timedelta(hours=1)
        queue.make_due(sent)
    another = make_broker()
    declare(another)
    start_worker(another)
    eventually(lambda: queue.states() == {"DONE": 2})
    assert Counter(ran) == {"delayed": 1, "retried": 2}


@pytest.fixture(params=["stream", "poll"])
def _one_of_stream_and_poll(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of the two tells of messages that other processes send."""
    if request.param == "stream":
        monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 3600.0)
    else:
        monkeypatch.setattr(Lookout, "start", lambda _lookout: None)


@pytest.mark.usefixtures("_one_of_stream_and_poll")
@pytest.mark.parametrize("delay", [None, 100])
def test_promise_06_idle_worker_starts_a_due_message_by_the_stream_alone_and_by_the_poll_alone(
    broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, delay: int | None
) -> None:
    note = dramatiq.actor(lambda: None, broker=broker, actor_name="note")
    start_worker(broker)
    # After this the worker has begun to wait.
    first = note.send()
    eventually(lambda: queue.state(first) == "DONE")
    elsewhere = make_broker()
    elsewhere.declare_queue("default")
    sent = elsewhere.enqueue(message("note"), delay=delay)
    eventually(lambda: queue.state(sent) == "DONE")


def test_promise_06_idle_worker_asks_for_nothing_but_one_look_and_the_stream(
    make_broker: MakeBroker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 0.1)
    commands = Commands()
    # The lease is renewed by a guardian, or after a while by the process itself: it has none here.
    broker = make_broker(client={"event_listeners": [commands]}, lease_s=3600.0)
    for name in ("one", "two", "three"):
        dramatiq.actor(lambda: None, broker=broker, actor_name=name, queue_name=name)
    start_worker(broker, threads=4)

    def looks() -> int:
        return len(commands.named("aggregate", on="dramatiq_controls"))

    # Whatever begins has begun, and then comes what goes on for ever.
    eventually(lambda: looks() > 5)
    commands.sent.clear()
    eventually(lambda: looks() > 10)
    kinds = Counter(next(iter(command)) for command in commands.sent)
    assert kinds.keys() <= {"aggregate", "getMore", "killCursors"}
    assert kinds["aggregate"] <= looks() + 2


def test_promise_07_priority_is_decided_in_the_database_and_equals_are_first_in_first_out(
    broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    ran: list[Any] = []
    actors = [
        dramatiq.actor(ran.append, broker=on, actor_name=f"priority_{priority}", priority=priority)
        for on in (broker, make_broker())
        for priority in (9, 0, 5)
    ]
    expected = []
    for number in range(20):
        # Two senders take turns.
        for sender in actors[:3] if number % 2 else actors[3:]:
            sender.send((sender.priority, number))
            expected.append([sender.priority, number])
    start_worker(broker)
    eventually(lambda: queue.states() == {"DONE": 60})
    assert ran == sorted(expected)


def test_promise_08_one_message_of_a_unique_key_lives_at_a_time(
    broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    started, gate = threading.Event(), threading.Event()

    def sweep() -> None:
        started.set()
        assert gate.wait(60)

    actor = dramatiq.actor(sweep, broker=broker)
    other = make_broker()
    other.declare_queue("default")
    first = actor.send_with_options(unique_key="sweep")
    assert other.enqueue(message("sweep", unique_key="sweep")) == first
    start_worker(broker)
    assert started.wait(60)
    assert other.enqueue(message("sweep", unique_key="sweep")).message_id == first.message_id
    gate.set()
    eventually(lambda: queue.states() == {"DONE": 1})
    second = other.enqueue(message("sweep", unique_key="sweep"))
    assert second.message_id != first.message_id
    eventually(lambda: queue.states() == {"DONE": 2})


def test_promise_09_each_tick_is_sent_once_by_however_many_schedulers(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    ticks: list[str] = []

    def note() -> None:
        running = CurrentMessage.get_current_message()
        assert running
        ticks.append(running.options["tick"])

    for _ in range(3):
        broker = make_broker(middleware=[CurrentMessage()])
        actor = dramatiq.actor(note, broker=broker)
        broker.add_middleware(Schedules([Schedule("each-second", "* * * * * *", actor)]))
        start_worker(broker)
    eventually(lambda: len(ticks) >= 3)
    # Of those that all of them were late for, only the newest is sent: there may be gaps.
    seen = list(ticks)
    assert len(set(seen)) == len(seen)
    assert all(datetime.fromisoformat(tick).microsecond == 0 for tick in seen)
    assert queue.states().keys() <= {"DONE", "CONSUMED", "QUEUED"}


def test_promise_10_dead_letters_tell_why_and_are_retried_and_purged(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    paint: list[str] = []

    def draw(name: str) -> None:
        if not paint:
            raise LookupError(f"no paint for {name}")

    actor = dramatiq.actor(draw, broker=broker, max_retries=1)
    start_worker(broker)
    sun, moon = actor.send("sun"), actor.send("moon")
    eventually(lambda: queue.states() == {"REJECTED": 2})
    letters = {letter.message_id: letter for letter in list_dead(broker)}
    letter = letters[sun.message_id]
    assert (letter.reason, letter.attempts, letter.actor_name) == ("LookupError: no paint for sun", 2, "draw")
    assert "in draw" in (letter.traceback or "")
    assert letter.failed_at
    assert letter.failed_at.utcoffset() == timedelta(0)
    paint.append("yellow")
    assert retry_dead(broker, [sun.message_id]).count == 1
    eventually(lambda: queue.state(sun) == "DONE")
    assert purge_dead(broker, everything=True) == 1
    assert queue.state(moon) == "none"


def test_promise_11_finished_messages_leave_the_hot_indexes_at_once_and_the_disk_by_themselves(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, database: Database[Any]
) -> None:
    def work(name: str) -> None:
        if name == "bad":
            raise ValueError(name)

    def sizes() -> dict[str, int]:
        keys: dict[str, int] = database.command("validate", "default")["keysPerIndex"]
        return {index: keys[index] for index in ("_id_", "in_line", "delayed", "leased", "unique", "dead")}

    broker = make_broker()
    actor = dramatiq.actor(work, broker=broker, max_retries=0)
    worker = start_worker(broker)
    for number in range(10):
        actor.send_with_options(args=("good",), delay=number % 2, unique_key=str(number))
    actor.send("bad")
    eventually(lambda: queue.states() == {"DONE": 10, "REJECTED": 1})
    worker.stop()
    assert sizes() == {"_id_": 11, "in_line": 0, "delayed": 0, "leased": 0, "unique": 0, "dead": 1}
    # The server removes what is in this index and older than now.
    assert queue.collection.index_information()["expiry"]["expireAfterSeconds"] == 0
    now = database.client.admin.command("hello")["localTime"]
    kept = {document["state"]: document["expire_at"] - now for document in queue.collection.find()}
    assert timedelta(0) < kept["DONE"] <= timedelta(hours=1) < kept["REJECTED"] <= timedelta(days=7)


def test_promise_12_sigterm_finishes_what_runs_and_gives_back_the_rest_uncharged(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    leaving = start_process(prefetch=4)
    broker.enqueue(message("hold", "running"))
    for name in "ab":
        broker.enqueue(message("note", name))
    eventually(lambda: runs.of("running") and queue.states() == {"CONSUMED": 3})
    leaving.main.send_signal(SIGTERM)
    eventually(lambda: queue.states() == {"CONSUMED": 1, "QUEUED": 2})
    # Nor does it claim anything now.
    broker.enqueue(message("note", "c"))
    runs.open_gate("running")
    assert leaving.main.wait(timeout=60) == 0
    assert queue.states() == {"DONE": 1, "QUEUED": 3}
    assert queue.collection.count_documents({"crashes": 0}) == 4
    assert runs.counts() == {"running": 1}


def test_promise_13_results_limits_and_barriers_need_nothing_but_mongodb(
    make_broker: MakeBroker, start_worker: StartWorker
) -> None:
    broker = make_broker(middleware=[Pipelines()])
    limits = MongoRateLimiterBackend(database=broker.database)
    broker.add_middleware(GroupCallbacks(limits))
    broker.add_middleware(Results(backend=MongoResultBackend(database=broker.database), store_results=True))
    one_at_a_time = ConcurrentRateLimiter(limits, "paint", limit=1, ttl=60_000)
    inside: list[int] = []
    most: list[int] = []
    complete = threading.Event()

    def square(number: int) -> int:
        while True:
            with one_at_a_time.acquire(raise_on_failure=False) as acquired:
                if acquired:
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
                    return number * number

    squared: Any = dramatiq.actor(square, broker=broker)
    done = dramatiq.actor(complete.set, broker=broker, actor_name="done")
    start_worker(broker, threads=4)
    squares: Any = group([squared.message(number) for number in range(12)], broker=broker)  # type: ignore[no-untyped-call]
    squares.add_completion_callback(done.message())
    squares.run()
    assert list(squares.get_results(block=True, timeout=30_000)) == [number * number for number in range(12)]
    assert complete.wait(60)
    assert max(most) == 1
    steps = pipeline([squared.message(2), squared.message(), squared.message()], broker=broker).run()
    assert steps.get_result(block=True, timeout=30_000) == 256


def test_promise_14_claims_and_acks_are_batched(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    note = dramatiq.actor(lambda: None, broker=broker, actor_name="note")
    broker.enqueue_many(note.message() for _ in range(500))
    assert len(commands.named("insert", on="default")) == 1
    start_worker(broker, threads=8)
    eventually(lambda: queue.states() == {"DONE": 500})
    looks_ahead, writes = commands.named("find", on="default"), commands.named("update", on="default")
    # A claim is a look ahead and an update, an ack is an update.
    assert len(looks_ahead) < 500 / 5
    assert len(writes) < 2 * 500 / 5
