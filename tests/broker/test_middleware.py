"""Unique keys, cancellation, transactions left open, and pauses."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from signal import SIGKILL
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import AsyncIO, Callbacks, Pipelines, Retries
from pymongo.database import Database

from broker import (
    Canceled,
    Cancellation,
    CurrentTransaction,
    InvalidUniqueKey,
    MongoBroker,
    Paused,
    UniqueKeys,
    run_in_transaction,
    transaction,
)
from tests.broker.conftest import MakeBroker, StartProcess, StartWorker
from tests.broker.processes import Runs
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


class Gate:
    """An actor's function that says that it runs, and waits to be let through."""

    def __init__(self) -> None:
        self.runs: list[tuple[Any, ...]] = []
        self.open = threading.Event()

    def __call__(self, *args: Any) -> None:
        self.runs.append(args)
        assert self.open.wait(60)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def unique(make_broker: MakeBroker) -> MongoBroker:
    made = make_broker(middleware=[Retries(min_backoff=1, max_backoff=1), UniqueKeys()])
    made.declare_queue("default")
    return made


def note(broker: MongoBroker, ran: list[Any] | None = None, **options: Any) -> dramatiq.Actor[..., Any]:
    return dramatiq.actor(
        (lambda *args: ran.append(args)) if ran is not None else (lambda *_: None),
        broker=broker, actor_name="note", **options,
    )  # fmt: skip


# Unique keys


def test_actors_key_is_a_string_or_made_of_the_arguments_or_none(unique: MongoBroker, queue: Queue) -> None:
    for name, key in {
        "fixed": "all",
        "made": lambda number, colour="red": f"{number} {colour}" if number else None,
    }.items():
        dramatiq.actor(lambda *_: None, broker=unique, actor_name=name, unique_key=key)
    fixed, made = unique.get_actor("fixed"), unique.get_actor("made")
    assert fixed.send(1) == fixed.send(2)
    first = made.send(1)
    assert made.send(1, colour="red") == first
    assert made.send(1, colour="blue") != first
    assert made.send(0) != made.send(0)
    assert queue.states() == {"QUEUED": 5}


def test_messages_own_key_goes_before_the_actors(unique: MongoBroker, queue: Queue) -> None:
    actor = note(unique, unique_key="all")
    actor.send()
    actor.send_with_options(unique_key="mine")
    actor.send_with_options(unique_key=None)
    assert sorted(queue.collection.distinct("unique_key")) == ["all", "mine"]
    assert queue.states() == {"QUEUED": 3}


def test_key_of_the_wrong_type_is_refused_at_the_declaration(unique: MongoBroker) -> None:
    with pytest.raises(InvalidUniqueKey, match="'note'"):
        note(unique, unique_key=7)
    assert unique.get_declared_actors() == set()


@pytest.mark.parametrize("key", [7, "", "x" * 513, b"key", ["key"]], ids=["7", "empty", "long", "bytes", "list"])
@pytest.mark.parametrize("made", [False, True])
def test_key_that_can_be_none_is_refused_at_the_send(unique: MongoBroker, queue: Queue, made: bool, key: Any) -> None:  # noqa: FBT001
    actor = note(unique, unique_key=(lambda: key) if made else None)
    with pytest.raises(InvalidUniqueKey):
        actor.send() if made else actor.send_with_options(unique_key=key)
    assert queue.states() == {}


def test_key_that_cannot_be_made_of_the_arguments_is_refused(unique: MongoBroker, queue: Queue) -> None:
    actor = note(unique, unique_key=lambda account_id: account_id["id"])
    for args in ((), (1, 2), ("no account",)):
        with pytest.raises(InvalidUniqueKey, match="'note'"):
            actor.send(*args)
    assert queue.states() == {}


@pytest.mark.parametrize("end", ["done", "dead", "canceled", "flushed"])
def test_key_is_free_again_after_the_end(
    unique: MongoBroker, start_worker: StartWorker, queue: Queue, end: str
) -> None:
    def work() -> None:
        if end == "dead":
            raise ValueError

    actor = dramatiq.actor(work, broker=unique, unique_key="one", max_retries=0)
    first = actor.send()
    if end == "canceled":
        unique.cancel(first.message_id)
    elif end == "flushed":
        unique.flush("default")
    else:
        start_worker(unique)
        eventually(lambda: queue.state(first) in {"DONE", "REJECTED"})
    assert actor.send().message_id != first.message_id


@pytest.mark.parametrize("delay", [None, AN_HOUR_MS])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_sixteen_rivals_send_one_message(
    unique: MongoBroker,
    queue: Queue,
    delay: int | None,
    in_transaction: bool,  # noqa: FBT001
) -> None:
    unique.open("default")
    together = threading.Barrier(16)

    def send(number: int) -> str:
        sent = message("note", number, unique_key="one")
        together.wait()
        if in_transaction:
            stored = run_in_transaction(unique.database.client, lambda _: unique.enqueue(sent, delay=delay))
        else:
            stored = unique.enqueue(sent, delay=delay)
        return stored.message_id

    with ThreadPoolExecutor(16) as threads:
        ids = set(threads.map(send, range(16)))
    assert len(ids) == 1
    assert queue.states() == {"DELAYED" if delay else "QUEUED": 1}


def test_unique_message_of_a_transaction_that_is_rolled_back_leaves_its_key_free(
    unique: MongoBroker, queue: Queue
) -> None:
    def change_of_mind() -> None:
        with transaction(unique.database.client):
            unique.enqueue(message(unique_key="one"))
            raise LookupError

    with pytest.raises(LookupError):
        change_of_mind()
    unique.enqueue(message(unique_key="one"))
    assert queue.states() == {"QUEUED": 1}


def test_repeat_keeps_its_key(unique: MongoBroker, start_worker: StartWorker, queue: Queue) -> None:
    def fail() -> None:
        raise dramatiq.Retry("later", delay=AN_HOUR_MS)

    actor = dramatiq.actor(fail, broker=unique, unique_key="one")
    first = actor.send()
    start_worker(unique)
    eventually(lambda: queue.state(first) == "DELAYED")
    assert actor.send().message_id == first.message_id
    assert queue.document(first)["unique_key"] == "one"


def test_same_key_in_another_queue_is_another_key(unique: MongoBroker) -> None:
    unique.declare_queue("other")
    one, other = (unique.enqueue(message(queue=name, unique_key="one")) for name in ("default", "other"))
    assert one.message_id != other.message_id


# Cancellation


@pytest.fixture
def canceling(make_broker: MakeBroker) -> MongoBroker:
    middleware = [Callbacks(), Pipelines(), Retries(min_backoff=1, max_backoff=1), Cancellation(), AsyncIO()]
    made = make_broker(middleware=middleware)
    made.declare_queue("default")
    return made


def canceled(queue: Queue, sent: Any) -> bool:
    document = queue.document(sent)
    return bool(document["state"] == "DONE" and document["reason"] == "canceled" and document["expire_at"])


@pytest.mark.parametrize("delay", [None, AN_HOUR_MS])
def test_waiting_message_is_canceled_at_once(broker: MongoBroker, queue: Queue, delay: int | None) -> None:
    sent = broker.enqueue(message(), delay=delay)
    assert broker.cancel(sent.message_id)
    assert canceled(queue, sent)
    assert not broker.cancel(sent.message_id)


def test_cancel_in_a_transaction_happens_with_its_commit(broker: MongoBroker, queue: Queue) -> None:
    sent = broker.enqueue(message())
    with suppress(LookupError), transaction(broker.database.client):
        assert broker.cancel(sent.message_id)
        raise LookupError
    assert queue.state(sent) == "QUEUED"
    assert "canceled" not in queue.document(sent)
    with transaction(broker.database.client):
        assert broker.cancel(sent.message_id)
        assert queue.state(sent) == "QUEUED", "not yet"
    assert canceled(queue, sent)


def test_what_waits_for_its_time_is_brought_forward(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    ran: list[Any] = []
    actor = note(broker, ran)
    start_worker(broker)
    later, rolled_back = (actor.send_with_options(delay=AN_HOUR_MS) for _ in range(2))
    assert broker.bring_forward(later.message_id)
    eventually(lambda: queue.state(later) == "DONE")
    assert not broker.bring_forward(later.message_id), "it has run"
    assert not broker.bring_forward("no id of any message")
    with suppress(LookupError), transaction(broker.database.client):
        assert broker.bring_forward(rolled_back.message_id)
        raise LookupError
    assert queue.state(rolled_back) == "DELAYED"
    assert len(ran) == 1


def test_what_has_ended_or_never_was_is_not_canceled(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    sent = note(broker).send()
    start_worker(broker)
    eventually(lambda: queue.state(sent) == "DONE")
    assert not broker.cancel(sent.message_id)
    assert not broker.cancel(message().message_id)
    assert not broker.cancel("no id of any message")
    assert "canceled" not in queue.document(sent)


@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
def test_running_actor_is_interrupted_and_neither_repeated_nor_dead(
    canceling: MongoBroker,
    start_worker: StartWorker,
    queue: Queue,
    is_async: bool,  # noqa: FBT001
) -> None:
    ran: list[str] = []

    def work() -> None:
        ran.append("begun")
        try:
            while True:
                threading.Event().wait(0.01)
        except Canceled:
            ran.append("interrupted")
            raise

    async def work_asynchronously() -> None:
        ran.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ran.append("interrupted")
            raise

    chosen: Any = work_asynchronously if is_async else work
    actor = dramatiq.actor(chosen, broker=canceling, actor_name="work")
    start_worker(canceling)
    sent = actor.send()
    eventually(lambda: ran)
    assert canceling.cancel(sent.message_id)
    eventually(lambda: queue.state(sent) == "DONE")
    assert canceled(queue, sent)
    assert ran == ["begun", "interrupted"]
    # Its thread is none the worse for it.
    after = note(canceling).send()
    eventually(lambda: queue.state(after) == "DONE")


def test_canceled_message_calls_nobody_and_ends_its_pipeline(
    canceling: MongoBroker, start_worker: StartWorker, queue: Queue, gate: Gate
) -> None:
    ran: list[Any] = []
    following = note(canceling, ran)
    work = dramatiq.actor(gate, broker=canceling, actor_name="work", max_retries=0)
    start_worker(canceling)
    sent = dramatiq.pipeline([work.message(), following.message()], broker=canceling).run().messages[0]
    eventually(lambda: gate.runs)
    canceling.cancel(sent.message_id)
    eventually(lambda: _is_told(canceling, sent))
    gate.open.set()
    eventually(lambda: queue.state(sent) == "DONE")
    assert canceled(queue, sent)
    assert queue.states() == {"DONE": 1}
    assert ran == []


def _is_told(broker: MongoBroker, sent: Any) -> bool:
    """Whether the process that runs the message knows that it is canceled."""
    delivery = broker.shelves["default"].find(sent.message_id)
    return delivery is None or delivery.is_canceled


def test_prefetched_message_is_canceled_without_a_run(
    canceling: MongoBroker, start_worker: StartWorker, queue: Queue, gate: Gate
) -> None:
    work = dramatiq.actor(gate, broker=canceling, actor_name="work")
    first, second = work.send(1), work.send(2)
    start_worker(canceling)
    eventually(lambda: gate.runs and queue.states() == {"CONSUMED": 2})
    assert canceling.cancel(second.message_id)
    eventually(lambda: _is_told(canceling, second))
    gate.open.set()
    eventually(lambda: queue.states() == {"DONE": 2})
    assert canceled(queue, second)
    assert gate.runs == [(1,)]
    assert "reason" not in queue.document(first)


def test_without_the_middleware_a_canceled_run_goes_on_and_is_not_repeated(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, gate: Gate
) -> None:
    def work() -> None:
        gate()
        raise ValueError("and would be repeated")

    actor = dramatiq.actor(work, broker=broker)
    start_worker(broker)
    sent = actor.send()
    eventually(lambda: gate.runs)
    assert broker.cancel(sent.message_id)
    eventually(lambda: _is_told(broker, sent))
    gate.open.set()
    eventually(lambda: queue.state(sent) == "DONE")
    assert canceled(queue, sent)
    assert len(gate.runs) == 1


def test_repeat_that_was_asked_for_before_the_cancel_was_noticed_does_not_run(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MongoBroker, "interrupt", lambda *_: None)

    def work() -> None:
        gate()
        raise ValueError

    actor = dramatiq.actor(work, broker=broker)
    start_worker(broker)
    sent = actor.send()
    eventually(lambda: gate.runs)
    assert broker.cancel(sent.message_id)
    gate.open.set()
    eventually(lambda: queue.state(sent) == "DONE")
    assert canceled(queue, sent)
    assert len(gate.runs) == 1


def test_canceled_message_whose_worker_died_is_not_run_again(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    worker = start_process()
    sent = broker.enqueue(message("hold", "film"))
    eventually(lambda: runs.of("film"))
    assert broker.cancel(sent.message_id)
    worker.signal_workers(SIGKILL)
    start_process()
    eventually(lambda: queue.state(sent) == "DONE")
    assert canceled(queue, sent)
    assert runs.counts() == {"film": 1}


def test_canceled_message_that_is_sent_again_runs(broker: MongoBroker, start_worker: StartWorker, queue: Queue) -> None:
    ran: list[Any] = []
    sent = note(broker, ran).send()
    broker.cancel(sent.message_id)
    broker.enqueue(sent)
    start_worker(broker)
    eventually(lambda: queue.state(sent) == "DONE")
    assert len(ran) == 1


# Transactions


def test_session_of_the_transaction_is_known_to_what_the_actor_calls(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, database: Database[Any]
) -> None:
    broker = make_broker(middleware=[CurrentTransaction()])
    following = note(broker)
    seen: list[Any] = [CurrentTransaction.get_current_session()]

    def save() -> None:
        seen.append(CurrentTransaction.get_current_session())
        broker.database.orders.insert_one({}, session=CurrentTransaction.get_current_session())

    def work() -> None:
        with transaction(broker.database.client) as session:
            save()
            following.send()
            assert session is seen[-1]
        seen.append(CurrentTransaction.get_current_session())

    actor = dramatiq.actor(work, broker=broker)
    start_worker(broker)
    actor.send()
    eventually(lambda: queue.states() == {"DONE": 2})
    assert (seen[0], seen[2]) == (None, None)
    assert database.orders.count_documents({}) == 1


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_transaction_that_an_actor_leaves_open_is_rolled_back_and_takes_nothing_along(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, database: Database[Any], ends: str
) -> None:
    ran: list[Any] = []
    left_open: list[Any] = []

    def work() -> None:
        ran.append("work")
        if len(ran) == 1:
            left_open.append(transaction(broker.database.client))
            session = left_open[0].__enter__()
            broker.database.orders.insert_one({}, session=session)
            broker.enqueue(message("note", "in the transaction"))
            if ends == "badly":
                raise ValueError("to be repeated")

    actor = dramatiq.actor(work, broker=broker)
    dramatiq.pipeline([actor.message(), note(broker, ran).message()], broker=broker).run()
    start_worker(broker)
    eventually(lambda: queue.states() == {"DONE": 2})
    assert ran == ["work", *(["work"] if ends == "badly" else []), (None,)]
    assert database.orders.count_documents({}) == 0
    # Another thread's to close; left to the garbage collector it would say so at any time.
    with pytest.raises(ValueError, match="different Context"):
        left_open[0].gen.close()


# Pauses


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 0.05)


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize("what", [{"queue": "default"}, {"actor": "work"}], ids=["queue", "actor"])
def test_paused_messages_are_given_back_uncharged_and_keep_their_place(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, gate: Gate, what: Any
) -> None:
    broker = make_broker()
    work = dramatiq.actor(gate, broker=broker, actor_name="work")
    running, *waiting = [work.send(number) for number in range(6)]
    start_worker(broker)
    eventually(lambda: gate.runs and queue.states()["CONSUMED"] >= 2)
    places = [queue.document(sent)["seq"] for sent in waiting]
    # By somebody else: it is stored.
    elsewhere = make_broker()
    elsewhere.pause(**what)
    eventually(lambda: broker.lookout.paused == elsewhere.paused())
    gate.open.set()
    # What runs is finished, and the rest is given back.
    eventually(lambda: queue.states() == {"DONE": 1, "QUEUED": 5})
    last = work.send(6)
    assert [queue.document(sent)["seq"] for sent in waiting] == places
    assert queue.collection.count_documents({"crashes": 0}) == 7
    assert "retries" not in queue.document(waiting[0])["msg"]["options"]
    assert gate.runs == [(0,)]

    elsewhere.resume(**what)
    eventually(lambda: queue.states() == {"DONE": 7})
    assert gate.runs == [(number,) for number in range(7)]
    assert queue.state(running) == queue.state(last) == "DONE"


@pytest.mark.usefixtures("quick_looks")
def test_paused_actors_messages_keep_nobody_waiting(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    ran: list[Any] = []
    actors = {
        name: dramatiq.actor(ran.append, broker=broker, actor_name=name, priority=priority)
        for name, priority in (("paused", 0), ("other", 5))
    }
    broker.pause(actor="paused")
    broker.enqueue_many(actors["paused"].message("paused") for _ in range(50))
    other = actors["other"].send("other")
    start_worker(broker)
    eventually(lambda: queue.state(other) == "DONE")
    assert queue.states() == {"QUEUED": 50, "DONE": 1}
    broker.resume(actor="paused")
    eventually(lambda: queue.states() == {"DONE": 51})


@pytest.mark.usefixtures("quick_looks")
def test_paused_queue_keeps_no_other_queue_waiting(broker: MongoBroker, start_worker: StartWorker) -> None:
    ran: list[Any] = []
    for name in ("default", "other"):
        dramatiq.actor(ran.append, broker=broker, actor_name=name, queue_name=name)
    broker.pause(queue="default")
    broker.enqueue(message("default", "default"))
    start_worker(broker)
    for number in range(3):
        broker.enqueue(message("other", number, queue="other"))
    broker.join("other", timeout=60_000)
    assert ran == [0, 1, 2]
    broker.resume(queue="default")
    broker.join("default", timeout=60_000)
    assert ran == [0, 1, 2, "default"]


def test_pauses_are_counted_once_and_named(broker: MongoBroker) -> None:
    for _ in range(2):
        broker.pause(queue="default", actor="work")
    assert broker.paused() == Paused(queues=frozenset({"default"}), actors=frozenset({"work"}))
    broker.resume(queue="default")
    broker.resume(queue="never paused")
    assert broker.paused() == Paused(actors=frozenset({"work"}))
    for use in (broker.pause, broker.resume):
        with pytest.raises(ValueError, match="queue or an actor"):
            use()
