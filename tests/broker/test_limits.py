"""Limiters and barriers that hold for all processes, and groups whose callback is sent once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, cast
from uuid import UUID, uuid4

import dramatiq
import pytest
from dramatiq import group
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter, RateLimiter, WindowRateLimiter
from dramatiq.results import Results
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from app.stack import Servers
from broker import Delivery, MongoBroker, limits
from broker.delivery import set_current
from broker.limits import MongoRateLimiterBackend
from broker.results import MongoResultBackend
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000
PROCESSES = 4


@pytest.fixture
def backend(database: Database[Any]) -> MongoRateLimiterBackend:
    return MongoRateLimiterBackend(database=database)


def value_of(database: Database[Any], key: str) -> Any:
    return (database.dramatiq_limits.find_one({"_id": key}) or {}).get("value")


def let_expire(database: Database[Any], *keys: Any) -> None:
    """Let the time of these documents have come a second ago; the TTL monitor has not been there yet."""
    change = {"$set": {"expire_at": {"$subtract": ["$$NOW", 1000]}}}
    assert database.dramatiq_limits.update_many({"_id": {"$in": keys}}, [change]).matched_count == len(keys)


def is_let_in(limiter: RateLimiter) -> bool:
    """Whether the limiter lets one in, who then stays."""
    return bool(limiter._acquire())


# In other processes.

_elsewhere: dict[str, MongoRateLimiterBackend] = {}


def _backend_elsewhere(uri: str, database: str) -> MongoRateLimiterBackend:
    if database not in _elsewhere:
        _elsewhere[database] = MongoRateLimiterBackend(database=MongoClient[Any](uri)[database])
    return _elsewhere[database]


def _count_let_in(uri: str, database: str, kind: type[RateLimiter], options: dict[str, Any], times: int) -> int:
    limiter = kind(_backend_elsewhere(uri, database), "rivals", **options)
    with ThreadPoolExecutor(4) as threads:
        return sum(threads.map(lambda _: is_let_in(limiter), range(times)))


def _wait_at(uri: str, database: str, key: str) -> bool:
    return bool(Barrier(_backend_elsewhere(uri, database), key).wait(timeout=60_000))


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield pool


# Counters.


def test_counter_is_added_only_while_it_is_absent(backend: MongoRateLimiterBackend, database: Database[Any]) -> None:
    assert backend.add("$key", 3, AN_HOUR_MS)
    assert not backend.add("$key", 4, AN_HOUR_MS)
    assert value_of(database, "$key") == 3


def test_counter_is_raised_up_to_its_maximum(backend: MongoRateLimiterBackend, database: Database[Any]) -> None:
    assert [backend.incr("key", 2, 5, AN_HOUR_MS) for _ in range(3)] == [True, True, False]
    assert value_of(database, "key") == 4
    assert not backend.incr("other", 2, 1, AN_HOUR_MS)
    assert database.dramatiq_limits.count_documents({}) == 1


def test_counter_is_lowered_down_to_its_minimum(backend: MongoRateLimiterBackend, database: Database[Any]) -> None:
    backend.add("key", 2, AN_HOUR_MS)
    assert [backend.decr("key", 1, 0, AN_HOUR_MS) for _ in range(3)] == [True, True, False]
    assert value_of(database, "key") == 0
    assert not backend.decr("absent", 1, 0, AN_HOUR_MS)
    assert backend.decr("absent", 1, -1, AN_HOUR_MS)


def test_what_is_refused_does_not_prolong_the_counters_life(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    backend.add("key", 1, AN_HOUR_MS)
    before = database.dramatiq_limits.find_one({"_id": "key"})
    assert not backend.add("key", 1, 2 * AN_HOUR_MS)
    assert not backend.incr("key", 1, 1, 2 * AN_HOUR_MS)
    assert not backend.decr("key", 1, 1, 2 * AN_HOUR_MS)
    assert database.dramatiq_limits.find_one({"_id": "key"}) == before


def test_expired_counter_counts_as_absent_before_the_server_removes_it(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    for key in ("added", "raised", "lowered"):
        backend.add(key, 5, AN_HOUR_MS)
    let_expire(database, "added", "raised", "lowered")
    assert not backend.decr("lowered", 1, 0, AN_HOUR_MS)
    assert backend.add("added", 1, AN_HOUR_MS)
    assert backend.incr("raised", 2, 5, AN_HOUR_MS)
    assert [value_of(database, key) for key in ("added", "raised", "lowered")] == [1, 2, 5]


def test_server_removes_what_has_expired(backend: MongoRateLimiterBackend, database: Database[Any]) -> None:
    backend.add("key", 1, AN_HOUR_MS)
    assert database.dramatiq_limits.index_information()["expiry"]["expireAfterSeconds"] == 0


def test_answer_that_was_lost_is_not_counted_twice(
    make_broker: MakeBroker, failing: FailCommand, database: Database[Any]
) -> None:
    faulty = MongoRateLimiterBackend(database=make_broker(client=FAULTY).database)
    assert faulty.add("key", 1, AN_HOUR_MS)
    # The write is done and then told to have failed, in a way that makes the driver ask again.
    told = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "", "errorLabels": ["RetryableWriteError"]}
    with failing("update", times=1, writeConcernError=told):
        assert faulty.incr("key", 1, 2, AN_HOUR_MS)
    assert value_of(database, "key") == 2


def test_lost_connection_is_dramatiqs_error(make_broker: MakeBroker, failing: FailCommand) -> None:
    faulty = MongoRateLimiterBackend(database=make_broker(client=FAULTY).database)
    faulty.add("key", 1, AN_HOUR_MS)
    with failing("update", closeConnection=True), pytest.raises(BrokerConnectionError):
        faulty.incr("key", 1, 2, AN_HOUR_MS)
    with failing("find", closeConnection=True), pytest.raises(BrokerConnectionError):
        faulty.wait("key", 1000)


def test_prefix_keeps_counters_apart(backend: MongoRateLimiterBackend, database: Database[Any]) -> None:
    prefixed = MongoRateLimiterBackend(database=database, collection_prefix="p")
    assert backend.add("key", 1, AN_HOUR_MS)
    assert prefixed.add("key", 1, AN_HOUR_MS)
    assert database.p_dramatiq_limits.count_documents({}) == 1


# Limiters.


def test_concurrent_limiter_lets_in_as_many_as_it_may_and_again_when_one_leaves(
    backend: MongoRateLimiterBackend,
) -> None:
    limiter = ConcurrentRateLimiter(backend, "limit", limit=2)
    with limiter.acquire(), limiter.acquire():
        assert not is_let_in(limiter)
    with limiter.acquire(raise_on_failure=False) as acquired:
        assert acquired


def test_mutex_admits_one_of_many_threads_at_a_time(backend: MongoRateLimiterBackend) -> None:
    mutex = ConcurrentRateLimiter(backend, "mutex", limit=1)
    inside, most = [], []

    def work(_: int) -> None:
        with mutex.acquire(raise_on_failure=False) as acquired:
            if acquired:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(200)))
    assert set(most) == {1}
    assert is_let_in(mutex)


def test_bucket_and_window_let_in_as_many_as_they_may(backend: MongoRateLimiterBackend) -> None:
    bucket = BucketRateLimiter(backend, "bucket", limit=3, bucket=1000 * AN_HOUR_MS)
    window = WindowRateLimiter(backend, "window", limit=3, window=3600)
    for limiter in (bucket, window):
        assert [is_let_in(limiter) for _ in range(5)] == [True, True, True, False, False]


RIVALRIES: list[tuple[type[RateLimiter], dict[str, Any]]] = [
    (ConcurrentRateLimiter, {"limit": 50}),
    (BucketRateLimiter, {"limit": 50, "bucket": 1000 * AN_HOUR_MS}),
    (WindowRateLimiter, {"limit": 50, "window": 600}),
]


@pytest.mark.parametrize(("kind", "options"), RIVALRIES, ids=["concurrent", "bucket", "window"])
def test_processes_together_are_let_in_exactly_up_to_the_limit(
    processes: ProcessPoolExecutor,
    servers: Servers,
    database: Database[Any],
    kind: type[RateLimiter],
    options: dict[str, Any],
) -> None:
    calls = [
        processes.submit(_count_let_in, servers.mongodb_uri, database.name, kind, options, 40) for _ in range(PROCESSES)
    ]
    assert sum(call.result() for call in calls) == 50


def test_window_moves_on_as_time_goes_by(backend: MongoRateLimiterBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000
    monkeypatch.setattr(time, "time", lambda: now)
    limiter = WindowRateLimiter(backend, "window", limit=2, window=5)
    let_in = []
    for second in range(20):
        now = 1_000_000 + second
        let_in += [second for _ in range(3) if is_let_in(limiter)]
    assert let_in == [0, 0, 5, 5, 10, 10, 15, 15]


def test_sum_counts_only_the_keys_it_was_given(backend: MongoRateLimiterBackend) -> None:
    assert backend.incr_and_sum("w@1", lambda: ["w@1"], 3, 5, AN_HOUR_MS)
    assert not backend.incr_and_sum("w@2", lambda: ["w@2", "w@1"], 3, 5, AN_HOUR_MS)
    assert backend.incr_and_sum("w@2", lambda: ["w@2", "w@1"], 2, 5, AN_HOUR_MS)
    assert not backend.incr_and_sum("w@2", [], 4, 5, AN_HOUR_MS)
    assert backend.incr_and_sum("w@3", ["w@3"], 5, 5, AN_HOUR_MS)
    assert not backend.incr_and_sum("v@1", ["v@1"], 6, 5, AN_HOUR_MS)


def test_who_was_held_up_for_a_second_counts_those_who_came_meanwhile(backend: MongoRateLimiterBackend) -> None:
    assert backend.incr_and_sum("w@1700000001", ["w@1700000001", "w@1700000000"], 5, 5, AN_HOUR_MS)
    assert not backend.incr_and_sum("w@1700000000", ["w@1700000000", "w@1699999999"], 1, 5, AN_HOUR_MS)


def test_expired_counts_of_a_window_are_left_out_and_forgotten(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    keys = ["w@1", "w@2"]
    assert backend.incr_and_sum("w@1", keys, 5, 5, AN_HOUR_MS)
    change = {"$set": {"counts.0.expire_at": database.command("hello")["localTime"]}}
    database.dramatiq_limits.update_one({"_id": {"window": "w"}}, change)
    assert backend.incr_and_sum("w@2", keys, 5, 5, AN_HOUR_MS)
    document = database.dramatiq_limits.find_one({"_id": {"window": "w"}})
    assert document
    assert [(count["key"], count["value"]) for count in document["counts"]] == [("w@2", 5)]
    assert set(document) == {"_id", "counts", "expire_at", "grant"}


def test_keys_of_two_windows_cannot_be_summed(backend: MongoRateLimiterBackend) -> None:
    with pytest.raises(ValueError, match="more than one window"):
        backend.incr_and_sum("a@1", ["a@1", "b@1"], 1, 5, AN_HOUR_MS)


# Barriers.


def test_barrier_is_made_once_and_cleared_by_the_last_party(backend: MongoRateLimiterBackend) -> None:
    barrier = Barrier(backend, "barrier")
    assert barrier.create(parties=3)
    assert not barrier.create(parties=9)
    assert [barrier.wait(block=False) for _ in range(3)] == [False, False, True]


def test_blocked_parties_are_told_when_the_last_one_arrives(
    backend: MongoRateLimiterBackend, processes: ProcessPoolExecutor, servers: Servers, database: Database[Any]
) -> None:
    Barrier(backend, "barrier").create(parties=PROCESSES + 1)
    waiting = [processes.submit(_wait_at, servers.mongodb_uri, database.name, "barrier") for _ in range(PROCESSES)]
    eventually(lambda: value_of(database, "barrier") == 1)
    assert not any(one.done() for one in waiting)
    assert Barrier(backend, "barrier").wait(timeout=1000)
    assert all(one.result() for one in waiting)


def test_who_waits_after_the_notification_is_told_until_it_expires(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    assert not backend.wait("barrier@events", 1)
    backend.wait_notify("barrier@events", AN_HOUR_MS)
    backend.wait_notify("barrier@events", AN_HOUR_MS)
    assert backend.wait("barrier@events", None)
    assert backend.wait("barrier@events", 1000)
    let_expire(database, "barrier@events")
    assert not backend.wait("barrier@events", 1)


# Groups.

GROUP = "0198a0c2-6f3e-7c55-9d0a-5f8f4b7c1e2d"
"""The same in every process that imports this."""


@contextmanager
def running(child: UUID, *, key: str = GROUP) -> Iterator[None]:
    """Let this thread run a child of the group."""
    delivery = Message[Any](
        queue_name="default", actor_name="child", args=(), kwargs={}, options={"group_completion_uuid": key},
        message_id=str(child),
    )  # fmt: skip
    set_current(cast("Delivery", delivery))
    try:
        yield
    finally:
        set_current(None)


def arrive(backend: MongoRateLimiterBackend, child: UUID) -> bool:
    """What the middleware asks when a child has run: whether the group is complete, and the callback is to be sent."""
    with running(child):
        return bool(Barrier(backend, GROUP, ttl=AN_HOUR_MS).wait(block=False))


def children(number: int, backend: MongoRateLimiterBackend) -> list[UUID]:
    Barrier(backend, GROUP, ttl=AN_HOUR_MS).create(number)
    return [uuid4() for _ in range(number)]


def die_after_remembering(database: Database[Any], child: UUID) -> None:
    """What a worker leaves that dies between the two writes of an arrival."""
    database.dramatiq_limits.replace_one({"_id": {"group": GROUP, "child": child}}, {}, upsert=True)


def test_last_child_completes_its_group(backend: MongoRateLimiterBackend) -> None:
    assert [arrive(backend, child) for child in children(3, backend)] == [False, False, True]


def test_child_that_runs_again_is_not_counted_again(backend: MongoRateLimiterBackend) -> None:
    one, other = children(2, backend)
    assert [arrive(backend, child) for child in (one, one, one)] == [False] * 3
    assert arrive(backend, other)


def test_last_child_that_runs_again_is_told_the_same_and_the_others_too(backend: MongoRateLimiterBackend) -> None:
    one, other, last = children(3, backend)
    assert [arrive(backend, child) for child in (one, other, last)] == [False, False, True]
    assert [arrive(backend, child) for child in (one, last, other, last)] == [False, True, False, True]


def test_child_that_died_before_it_was_counted_still_completes_the_group(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    one, other, last = children(3, backend)
    die_after_remembering(database, one)
    assert [arrive(backend, child) for child in (other, last)] == [False, False]
    assert arrive(backend, one)


def test_child_that_died_and_ran_again_before_the_last_leaves_the_completion_to_that_one(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    one, other, last = children(3, backend)
    die_after_remembering(database, one)
    assert [arrive(backend, child) for child in (one, other, one, last, one)] == [False, False, False, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_whoever_dies_and_runs_again_one_child_completes_the_group_and_none_early(
    backend: MongoRateLimiterBackend, database: Database[Any], seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 (no secret)
    group_of = children(40, backend)
    completed_by: list[UUID] = []
    arrived: set[UUID] = set()

    def deliver(child: UUID, fates: list[str]) -> None:
        for fate in fates:
            if fate == "dies":
                die_after_remembering(database, child)
            else:
                arrived.add(child)
                if arrive(backend, child):
                    completed_by.append(child)
                    assert len(arrived) == len(group_of)

    fates = ["dies", "dies after it was counted"]
    lives = [(child, [*dice.choices(fates, k=dice.randrange(3)), "lives"]) for child in group_of]
    with ThreadPoolExecutor(8) as threads:
        for run in [threads.submit(deliver, *life) for life in lives]:
            run.result()
    # The completing child is told so again if it runs again; its callback is sent with its ack.
    assert len(set(completed_by)) == 1
    assert [arrive(backend, child) for child in group_of] == [child in completed_by for child in group_of]


def _arrive_elsewhere(uri: str, database: str, group_of: list[UUID]) -> list[UUID]:
    backend = _backend_elsewhere(uri, database)
    return [child for child in group_of if arrive(backend, child)]


def test_processes_that_all_run_the_same_children_agree_on_the_last(
    backend: MongoRateLimiterBackend, processes: ProcessPoolExecutor, servers: Servers, database: Database[Any]
) -> None:
    group_of = children(20, backend)
    dice = random.Random(1)  # noqa: S311 (no secret)
    shuffled = [dice.sample(group_of, k=20) for _ in range(PROCESSES)]
    calls = [processes.submit(_arrive_elsewhere, servers.mongodb_uri, database.name, order) for order in shuffled]
    told = [child for call in calls for child in call.result()]
    assert len(set(told)) == 1


def test_group_whose_barrier_is_gone_sends_its_callback_once(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    group_of = children(3, backend)
    let_expire(database, GROUP)
    assert [arrive(backend, child) for child in group_of] == [True, False, False]


def test_barrier_that_is_not_the_running_messages_group_is_an_ordinary_one(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    barrier = Barrier(backend, "other")
    barrier.create(2)
    with running(uuid4()):
        assert [barrier.wait(block=False) for _ in range(3)] == [False, True, True]
    assert value_of(database, "other") == 1


def test_finished_children_outlive_their_barrier_and_then_expire(
    backend: MongoRateLimiterBackend, database: Database[Any]
) -> None:
    (child,) = children(1, backend)
    arrive(backend, child)
    remembered = database.dramatiq_limits.find_one({"_id": {"group": GROUP, "child": child}})
    barrier = database.dramatiq_limits.find_one({"_id": GROUP})
    assert remembered
    assert barrier
    lives_longer = remembered["expire_at"] - barrier["expire_at"]
    assert lives_longer.total_seconds() * 1000 == (limits.CHILD_LIVES - 1) * AN_HOUR_MS


@pytest.fixture
def group_broker(make_broker: MakeBroker) -> MongoBroker:
    """With results, and groups that have callbacks."""
    made = make_broker()
    made.add_middleware(Results(backend=MongoResultBackend(database=made.database)))
    made.add_middleware(GroupCallbacks(MongoRateLimiterBackend(database=made.database)))
    return made


def group_with_callback(broker: MongoBroker, size: int, work: Callable[[int], int] = abs) -> tuple[group, Message[Any]]:
    """A group of messages for `work`, and the message that is sent when all of them are done."""

    def child(number: int) -> int:
        return work(number)

    def note() -> str:
        return "complete"

    child_actor = dramatiq.actor(child, broker=broker, store_results=True)
    note_actor = dramatiq.actor(note, broker=broker, queue_name="callbacks", store_results=True)
    callback = note_actor.message()
    made = group((child_actor.message(number) for number in range(size)), broker=broker)
    made.add_completion_callback(callback)
    return made, callback


def test_groups_callback_runs_once_all_children_have(group_broker: MongoBroker, start_worker: StartWorker) -> None:
    ran: set[int] = set()
    errors = [ValueError("once")]

    def work(number: int) -> int:
        if number == 3 and errors:
            raise errors.pop()
        ran.add(number)
        return number

    made, callback = group_with_callback(group_broker, 20, work)
    start_worker(group_broker, threads=4)
    made.run()
    backend = group_broker.get_results_backend()
    assert callback.get_result(backend=backend, block=True, timeout=30_000) == "complete"
    assert ran == set(range(20))
    assert sorted(made.get_results(block=True, timeout=30_000)) == list(range(20))
    assert group_broker.queues["callbacks"].count_documents({}) == 1


def test_last_child_redelivered_before_its_ack_sends_the_callback_once(
    group_broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, queue: Queue, database: Database[Any]
) -> None:
    made, callback = group_with_callback(group_broker, 2)
    made.run()
    dying = make_broker()
    for name in ("default", "callbacks"):
        dying.declare_queue(name)
    consumer = dying.consume("default", prefetch=2, timeout=20)
    callbacks = next(kind for kind in group_broker.middleware if isinstance(kind, GroupCallbacks))
    for delivery in [eventually(lambda: next(consumer)) for _ in range(2)]:
        assert delivery
        delivery.is_over = True
        set_current(delivery)
        callbacks.after_process_message(dying, delivery, result=1)
        set_current(None)
        # Here its worker dies: it was counted and is not acked.
        queue.take_from_worker(delivery._message)
    start_worker(group_broker)
    backend = group_broker.get_results_backend()
    assert callback.get_result(backend=backend, block=True, timeout=30_000) == "complete"
    eventually(lambda: queue.states() == {"DONE": 2})
    assert database.callbacks.count_documents({}) == 1


UNCOUNTED = [
    {"closeConnection": True},
    {"writeConcernError": {"code": 64, "errmsg": "no majority"}},
    {"errorCode": 14031},
]


@pytest.mark.parametrize("fault", UNCOUNTED, ids=["connection", "majority", "disk"])
def test_child_that_cannot_be_counted_runs_again(
    make_broker: MakeBroker, failing: FailCommand, queue: Queue, fault: dict[str, Any]
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    backend = MongoRateLimiterBackend(database=broker.database)
    barrier = Barrier(backend, GROUP)
    barrier.create(1)
    broker.enqueue(sent := message(group_completion_uuid=GROUP))
    consumer = broker.consume("default", prefetch=1, timeout=20)
    delivery = eventually(lambda: next(consumer))
    assert delivery
    set_current(delivery)
    try:
        with failing("update", **fault), pytest.raises((BrokerConnectionError, PyMongoError)):
            barrier.wait(block=False)
    finally:
        set_current(None)
    consumer.ack(delivery)
    assert queue.state(sent) == "DELAYED"
