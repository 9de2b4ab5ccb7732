from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.errors import QueueNotFound
from dramatiq.message import Message
from pymongo import ASCENDING
from pymongo.database import Database

from broker import MongoBroker, dead_letters
from broker.dead_letters import DeadLetter, Retried, count_dead, get_dead, list_dead, purge_dead, retry_dead
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message, profiled
from tests.waiting import eventually

NOBODY = UUID(int=0)  # the same in every process of a run, because it is part of a test's name

NOW = datetime.now(UTC).replace(microsecond=0)
A_MINUTE = timedelta(minutes=1)
KEPT = timedelta(days=7)
Bury = Callable[..., Message[Any]]


@pytest.fixture
def bury(broker: MongoBroker, database: Database[Any]) -> Bury:
    """Makes a dead letter of a message that failed `age` ago; other keywords are fields of its document."""

    def die(actor: str = "note", *args: Any, queue: str = "default", age: timedelta = A_MINUTE, **fields: Any) -> Any:
        broker.declare_queue(queue)
        dead = message(actor, *args, queue=queue, **fields.pop("options", {}))
        broker.enqueue(dead)
        change = {"state": "REJECTED", "expire_at": NOW - age + KEPT, **fields}
        database[queue].update_one({"_id": UUID(dead.message_id)}, {"$set": change, "$unset": {"unique_key": ""}})
        return dead

    return die


def ids(letters: list[DeadLetter]) -> list[str]:
    return [letter.message_id for letter in letters]


def test_dead_letters_of_all_queues_are_listed_newest_first(broker: MongoBroker, bury: Bury) -> None:
    hours = [(3, "default"), (1, "other"), (2, "default"), (4, "other")]
    dead = [bury(queue=queue, age=timedelta(hours=age)) for age, queue in hours]
    broker.enqueue(message())
    assert ids(list_dead(broker)) == [dead[index].message_id for index in (1, 2, 0, 3)]
    assert ids(list_dead(broker, limit=2)) == [dead[1].message_id, dead[2].message_id]
    assert ids(list_dead(broker, "other")) == [dead[1].message_id, dead[3].message_id]


def test_dead_letters_of_one_actor_are_listed(broker: MongoBroker, bury: Bury) -> None:
    bury("note")
    draw = bury("draw")
    assert ids(list_dead(broker, actor_name="draw")) == [draw.message_id]
    assert (count_dead(broker), count_dead(broker, actor_name="draw")) == (2, 1)


def test_dead_letter_tells_how_it_failed(broker: MongoBroker, bury: Bury) -> None:
    dead = bury(
        "note", 7, reason="ValueError: no", traceback="Traceback ...", attempts=4, failed_at=NOW, crashes=1
    )  # fmt: skip
    found = get_dead(broker, dead.message_id)
    assert found == DeadLetter(
        message=dead, message_id=dead.message_id, queue_name="default", actor_name="note", reason="ValueError: no",
        traceback="Traceback ...", attempts=4, crashes=1, failed_at=NOW, expires_at=NOW - A_MINUTE + KEPT,
    )  # fmt: skip
    assert found is not None
    assert found.error == "ValueError"


def test_dead_letter_of_an_older_version_tells_what_it_can(broker: MongoBroker, bury: Bury) -> None:
    told = bury(age=timedelta(hours=1), options={"retries": 2, "traceback": "Traceback:\n...\nKeyError: 'x'\n"})
    silent = bury()
    found = get_dead(broker, told.message_id)
    assert found is not None
    assert (found.reason, found.attempts) == ("KeyError: 'x'", 3)
    assert found.failed_at == NOW - timedelta(hours=1), "reckoned from when it expires"
    found = get_dead(broker, silent.message_id)
    assert found is not None
    assert (found.reason, found.traceback, found.attempts, found.error) == (None, None, None, None)


def test_dead_letter_of_a_real_failure(broker: MongoBroker, start_worker: StartWorker) -> None:
    @dramatiq.actor(broker=broker, max_retries=1)
    def fail() -> None:
        raise ValueError("a child's words")

    start_worker(broker)
    sent = fail.send()
    found = eventually(lambda: get_dead(broker, sent.message_id))
    assert found is not None
    assert found.reason == "ValueError: a child's words"
    assert found.error == "ValueError"
    assert found.attempts == 2
    assert "in fail" in (found.traceback or "")
    assert found.failed_at is not None
    assert abs(found.failed_at - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("ValueError: no", "ValueError"),
        ("studio.errors.NotNow: later: not now", "studio.errors.NotNow"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("its worker died each time it ran", "its worker died each time it ran"),
        ("unreadable, KeyError: 'msg'", "unreadable"),
        ("the fox: it flew away", None),
        ("小狐狸: 飞走了", None),
        ("Once: upon a time", "studio.errors.NotNow"),
        ("", None),
    ],
)
def test_kind_of_failure_is_told_without_a_word_of_the_message(
    broker: MongoBroker, bury: Bury, reason: str, error: str | None
) -> None:
    # Where there is a traceback, it is believed: the reason may be a line of what the error says.
    where = 'Traceback (most recent call last):\n  File "x.py"\n    raise\nstudio.errors.NotNow: the fox:\nOnce: upon'
    traceback = {"traceback": where} if reason.startswith("Once") else {}
    found = get_dead(broker, bury(reason=reason, **traceback).message_id)
    assert found is not None
    assert found.error == error


@pytest.mark.parametrize("msg", ["?", None, [], {"options": []}, {"options": {"unique_key": 7}}])
def test_unreadable_dead_letter_is_listed_retried_and_purged(broker: MongoBroker, queue: Queue, msg: Any) -> None:
    broker.enqueue(message())
    for identity in (uuid4(), "odd"):
        queue.collection.insert_one({"_id": identity, "state": "REJECTED", "msg": msg})
    found = list_dead(broker)
    assert {letter.message_id for letter in found} >= {"odd"}
    assert [(letter.message, letter.failed_at, letter.crashes) for letter in found] == [(None, None, 0)] * 2
    assert purge_dead(broker, [next(letter.message_id for letter in found if letter.message_id != "odd")]) == 1
    assert retry_dead(broker, everything=True) == Retried(1, 0)


@pytest.mark.parametrize("unknown", [str(NOBODY), "no id at all", ""])
def test_id_of_no_dead_letter_is_found_nowhere(broker: MongoBroker, queue: Queue, unknown: str) -> None:
    alive = broker.enqueue(message())
    for identity in (unknown, alive.message_id):
        assert get_dead(broker, identity) is None
        assert retry_dead(broker, [identity]) == Retried(0, 0)
        assert purge_dead(broker, [identity]) == 0
    assert queue.state(alive) == "QUEUED"


def test_retried_message_runs_as_if_it_were_new(broker: MongoBroker, queue: Queue, bury: Bury) -> None:
    dead = bury(
        "note", 7, reason="no", traceback="Traceback", attempts=4, failed_at=NOW, crashes=3,
        options={"retries": 3, "traceback": "Traceback", "requeue_timestamp": 1, "max_retries": 9},
    )  # fmt: skip
    rival = broker.enqueue(message())
    assert retry_dead(broker, [dead.message_id]) == Retried(1, 0)
    stored = queue.document(dead)
    assert stored.keys() == {"_id", "msg", "state", "priority", "seq", "crashes"}
    assert (stored["state"], stored["crashes"]) == ("QUEUED", 0)
    assert stored["msg"]["options"] == {"max_retries": 9}
    assert stored["msg"]["args"] == [7]
    assert stored["seq"] > queue.document(rival)["seq"], "at the end of the line"


def test_retried_message_is_run_by_a_worker(broker: MongoBroker, start_worker: StartWorker) -> None:
    healed, runs = threading.Event(), []

    @dramatiq.actor(broker=broker, max_retries=0)
    def fail_at_first(name: str) -> None:
        if not healed.is_set():
            raise ValueError(name)
        runs.append(name)

    start_worker(broker)
    sent = fail_at_first.send("fox")
    eventually(lambda: get_dead(broker, sent.message_id))
    healed.set()
    retry_dead(broker, actor_name="fail_at_first")
    eventually(lambda: runs == ["fox"])


def test_dead_letters_are_chosen_by_queue_and_actor(broker: MongoBroker, database: Database[Any], bury: Bury) -> None:
    chosen = bury("draw", queue="other")
    kept = [bury("draw"), bury("note", queue="other"), bury("note")]
    assert retry_dead(broker, queue_name="other", actor_name="draw") == Retried(1, 0)
    assert {letter.message_id for letter in list_dead(broker)} == {one.message_id for one in kept}
    assert purge_dead(broker, actor_name="draw") == 1
    assert purge_dead(broker, queue_name="other") == 1
    assert purge_dead(broker, everything=True) == 1
    assert Queue(database["other"]).state(chosen) == "QUEUED"


@pytest.mark.parametrize("act", [retry_dead, purge_dead])
def test_nothing_is_done_unless_something_is_chosen(
    broker: MongoBroker, bury: Bury, act: Callable[..., object]
) -> None:
    bury()
    for choice in ({}, {"everything": True, "queue_name": "default"}):
        with pytest.raises(ValueError, match="Choose"):
            act(broker, **choice)
    act(broker, [])
    assert count_dead(broker) == 1


def test_those_that_died_first_go_first(broker: MongoBroker, queue: Queue, bury: Bury) -> None:
    dead = [bury(age=timedelta(hours=hours)).message_id for hours in (1, 3, 2)]
    retry_dead(broker, queue_name="default")
    line = [str(document["_id"]) for document in queue.collection.find().sort("seq", ASCENDING)]
    assert line == [dead[1], dead[2], dead[0]]


def test_ten_thousand_are_retried_once_by_two_people_at_once(
    make_broker: MakeBroker, broker: MongoBroker, queue: Queue
) -> None:
    broker.enqueue(message())
    msg = message().asdict()
    queue.collection.insert_many(
        {"_id": uuid4(), "msg": msg, "state": "REJECTED", "expire_at": NOW + KEPT + timedelta(milliseconds=number)}
        for number in range(10_000)
    )
    retried: list[Retried] = []

    def retry() -> None:
        mine = make_broker()
        mine.declare_queue("default")
        retried.append(retry_dead(mine, actor_name="note"))

    people = [threading.Thread(target=retry) for _ in range(2)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sum(one.count for one in retried) == 10_000
    assert queue.states() == {"QUEUED": 10_001}


def test_what_dies_again_during_a_retry_stays_dead(
    broker: MongoBroker, queue: Queue, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    def let_it_die_again() -> None:
        again = {"state": "REJECTED", "expire_at": datetime.now(UTC) + KEPT}
        queue.collection.update_many({"state": "QUEUED"}, {"$set": again})

    for hours in (3, 2, 1):
        bury(age=timedelta(hours=hours))
    meanwhile(monkeypatch, let_it_die_again)
    assert retry_dead(broker, queue_name="default") == Retried(3, 0)


@pytest.mark.parametrize("act", [retry_dead, purge_dead])
def test_a_death_that_nobody_has_looked_at_is_left_alone(
    broker: MongoBroker, queue: Queue, bury: Bury, monkeypatch: pytest.MonkeyPatch, act: Callable[..., object]
) -> None:
    dead = bury()
    meanwhile(monkeypatch, lambda: queue.collection.update_many({}, {"$set": {"expire_at": NOW + KEPT}}))
    act(broker, [dead.message_id])
    assert queue.state(dead) == "REJECTED"


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen between the reading of each dead letter and what is done with it."""
    walk = dead_letters._batches

    def interrupted(*choice: Any) -> Iterator[Any]:
        for batch in walk(*choice):
            happens()
            yield batch

    monkeypatch.setattr(dead_letters, "_batches", interrupted)
    monkeypatch.setattr(dead_letters, "BATCH", 1)


def test_retry_leaves_dead_what_has_lost_its_unique_key(broker: MongoBroker, queue: Queue, bury: Bury) -> None:
    held = bury(options={"unique_key": "fox"})
    free = bury(options={"unique_key": "hen"})
    broker.enqueue(message(unique_key="fox"))
    assert retry_dead(broker, queue_name="default") == Retried(count=1, held_back=1)
    assert queue.state(held) == "REJECTED"
    assert queue.document(free)["unique_key"] == "hen"


def test_message_that_no_document_can_hold_is_retried_as_if_it_were_new(broker: MongoBroker, queue: Queue) -> None:
    dead = message("note", 2**70, unique_key="fox", retries=3, traceback="Traceback", max_retries=9)
    broker.enqueue(dead)
    queue.collection.update_one({}, {"$set": {"state": "REJECTED", "canceled": True}, "$unset": {"unique_key": ""}})
    assert "encoded" in queue.document(dead)
    assert retry_dead(broker, [dead.message_id]) == Retried(1, 0)
    delivery = next(broker.consume("default", timeout=5_000))
    assert delivery is not None
    assert delivery.args == (2**70,)
    assert delivery.options == {"unique_key": "fox", "max_retries": 9}
    assert queue.document(dead)["unique_key"] == "fox"
    assert not delivery.is_canceled


def test_broken_message_that_no_document_can_hold_is_retried_as_it_is(broker: MongoBroker, queue: Queue) -> None:
    queue.collection.insert_one({"_id": uuid4(), "state": "REJECTED", "msg": {}, "encoded": b"?"})
    assert retry_dead(broker, everything=True) == Retried(1, 0)
    assert queue.states() == {"QUEUED": 1}


def test_queue_that_no_worker_has_taken_over_is_left_as_it_is(broker: MongoBroker, queue: Queue) -> None:
    old = message()
    queue.collection.insert_one({"_id": UUID(old.message_id), "msg": old.asdict(), "state": "REJECTED"})
    assert ids(list_dead(broker)) == [old.message_id]
    assert count_dead(broker) == 1
    assert queue.collection.index_information().keys() == {"_id_"}
    assert retry_dead(broker, everything=True) == Retried(1, 0)


def test_undeclared_queue_is_refused(broker: MongoBroker) -> None:
    for use in (list_dead, count_dead):
        with pytest.raises(QueueNotFound):
            use(broker, "nowhere")
    for act in (retry_dead, purge_dead):
        with pytest.raises(QueueNotFound):
            act(broker, queue_name="nowhere")


def test_unreachable_database_is_a_connection_error(make_broker: MakeBroker, failing: FailCommand, bury: Bury) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    dead = bury()
    uses: list[Callable[[], object]] = [
        lambda: list_dead(broker),
        lambda: count_dead(broker),
        lambda: get_dead(broker, dead.message_id),
        lambda: retry_dead(broker, [dead.message_id]),
        lambda: purge_dead(broker, [dead.message_id]),
    ]
    list_dead(broker)
    with failing("find", "aggregate", errorCode=91):
        for use in uses:
            with pytest.raises(BrokerConnectionError):
                use()
    with failing("update", errorCode=91), pytest.raises(BrokerConnectionError):
        retry_dead(broker, [dead.message_id])
    assert retry_dead(broker, [dead.message_id]) == Retried(1, 0)


def test_finished_messages_cost_the_list_nothing(
    broker: MongoBroker, database: Database[Any], queue: Queue, bury: Bury
) -> None:
    bury()
    # With nothing else there the planner takes the index that expires messages for as good, and would remember that.
    list_dead(broker)
    count_dead(broker)
    queue.collection.insert_many({"_id": uuid4(), "state": "DONE", "expire_at": NOW + KEPT} for _ in range(3_000))
    with profiled(database) as read:
        list_dead(broker, actor_name="note")
        count_dead(broker)
        retry_dead(broker, queue_name="default")
    assert max(read()) < 10
