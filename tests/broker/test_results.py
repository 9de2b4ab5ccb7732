"""What actors return and raise, kept in MongoDB as long as it was asked to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import dramatiq
import pytest
from dramatiq import group, pipeline
from dramatiq.encoder import Encoder, PickleEncoder
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from dramatiq.results import ResultFailure, ResultMissing, Results, ResultTimeout
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from app.stack import Servers
from broker import Delivery, MongoBroker, complete_current, expiring, transaction
from broker.delivery import set_current
from broker.results import LARGEST_RESULT, MongoResultBackend, ResultTooLarge
from tests.broker.commands import Commands
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


class EndedDelivery:
    """A delivery whose actor has returned: what is stored from now on joins its ack."""

    def __init__(self, database: Database[Any], *, is_over: bool = True) -> None:
        self.broker = SimpleNamespace(database=database)
        self.is_over = is_over
        self.is_disowned = False
        self.options: dict[str, Any] = {}
        self.writes: list[Callable[[ClientSession | None], None]] = []

    def join_ack(self, write: Callable[[ClientSession | None], None]) -> None:
        self.writes.append(write)


@pytest.fixture
def backend(database: Database[Any]) -> MongoResultBackend:
    return MongoResultBackend(database=database)


@pytest.fixture
def work(database: Database[Any]) -> Iterator[Callable[..., EndedDelivery]]:
    """Makes the calling thread run a message, of a broker on the given database or else on that of the test."""

    def run(of: Database[Any] = database, **state: bool) -> EndedDelivery:
        delivery = EndedDelivery(of, **state)
        set_current(cast("Delivery", delivery))
        return delivery

    yield run
    set_current(None)


def let_expire(database: Database[Any]) -> None:
    """Let the time of every result have come a second ago; the TTL monitor has not been there yet."""
    change = {"$set": {"expire_at": {"$subtract": ["$$NOW", 1000]}}}
    assert database.dramatiq_results.update_many({}, [change]).matched_count


def stored(database: Database[Any]) -> list[Any]:
    return list(database.dramatiq_results.find())


VALUES: list[Any] = [
    None,
    False,
    0,
    2**80,
    0.5,
    "",
    "$words",
    [],
    {},
    {"$set": {"a.b": "$x"}, "": [None]},
    "画伴 \ud800",
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_what_json_can_say_comes_back_as_it_was(backend: MongoResultBackend, value: Any) -> None:
    sent = message()
    backend.store_result(sent, value, AN_HOUR_MS)
    assert backend.get_result(sent) == value
    assert backend.get_result(sent, block=True) == value


def test_another_encoder_stores_what_it_can(database: Database[Any]) -> None:
    backend = MongoResultBackend(database=database, encoder=PickleEncoder())
    backend.store_result(sent := message(), {1, b"\0"}, AN_HOUR_MS)
    assert backend.get_result(sent) == {1, b"\0"}


def test_encoder_set_for_dramatiq_is_used(database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Backwards(Encoder):
        def encode(self, data: Any) -> bytes:
            return str(data)[::-1].encode()

        def decode(self, data: bytes) -> Any:
            return data.decode()[::-1]

    monkeypatch.setattr("dramatiq.message.global_encoder", Backwards())
    backend = MongoResultBackend(database=database)
    backend.store_result(sent := message(), "drawing", AN_HOUR_MS)
    assert stored(database)[0]["result"] == b"gniward"
    assert backend.get_result(sent) == "drawing"


def test_result_that_the_encoder_refuses_raises_its_error(backend: MongoResultBackend, database: Database[Any]) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        backend.store_result(message(), object(), AN_HOUR_MS)
    assert stored(database) == []


def test_result_too_large_for_a_document_is_refused_before_an_ack_could_carry_it(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery]
) -> None:
    delivery = work()
    with pytest.raises(ResultTooLarge):
        backend.store_result(message(), "x" * LARGEST_RESULT, AN_HOUR_MS)
    assert delivery.writes == []


def test_largest_result_fits_into_the_transaction_of_an_ack(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery], mongo: MongoClient[Any]
) -> None:
    delivery, sent, largest = work(), message(), "x" * (LARGEST_RESULT - 2)
    backend.store_result(sent, largest, AN_HOUR_MS)
    with mongo.start_session() as session, session.start_transaction():
        delivery.writes[0](session)
    assert backend.get_result(sent) == largest


def test_exception_comes_back_as_failure(backend: MongoResultBackend) -> None:
    backend.store_exception(sent := message(), ValueError("no more $paint"), AN_HOUR_MS)
    with pytest.raises(ResultFailure, match=r"actor raised ValueError: no more \$paint") as failure:
        backend.get_result(sent, block=True)
    assert (failure.value.orig_exc_type, failure.value.orig_exc_msg) == ("ValueError", "no more $paint")


def test_result_that_is_not_there_is_missing_or_times_out(backend: MongoResultBackend) -> None:
    with pytest.raises(ResultMissing):
        backend.get_result(message())
    with pytest.raises(ResultTimeout):
        backend.get_result(message(), block=True, timeout=20)
    with pytest.raises(ResultTimeout):
        backend.get_result(message(), block=True, timeout=0)


def test_blocking_read_gets_a_result_stored_meanwhile(backend: MongoResultBackend) -> None:
    sent = message()
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(backend.get_result, sent, block=True, timeout=30_000) for _ in range(4)]
        backend.store_result(sent, "done", AN_HOUR_MS)
        assert [one.result() for one in waiting] == ["done"] * 4


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[tuple[float, float]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append((self.now, seconds))
        self.now += seconds


def test_waiting_is_prompt_and_never_spins(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = Clock(), []
    monkeypatch.setattr(expiring, "time", clock)
    assert expiring.look_until_found(lambda: looks.append(clock.now), timeout_s=60) is None
    assert looks[0] == 0
    assert looks[-1] == pytest.approx(60)
    assert len(looks) < 300
    assert all(pause <= max(0.002, waited / 10) * 1.001 for waited, pause in clock.sleeps)
    assert all(pause >= 0.002 for _, pause in clock.sleeps[:-1])


def test_expired_result_is_missing_before_the_server_removes_it(
    backend: MongoResultBackend, database: Database[Any]
) -> None:
    backend.store_result(sent := message(), "old", AN_HOUR_MS)
    let_expire(database)
    assert stored(database)
    with pytest.raises(ResultMissing):
        backend.get_result(sent)
    with pytest.raises(ResultTimeout):
        backend.get_result(sent, block=True, timeout=0)
    backend.store_result(sent, "new", AN_HOUR_MS)
    assert backend.get_result(sent) == "new"


def test_result_lives_for_its_ttl_on_the_servers_clock(backend: MongoResultBackend, database: Database[Any]) -> None:
    before = database.command("hello")["localTime"]
    backend.store_result(message(), "x", AN_HOUR_MS)
    after = database.command("hello")["localTime"]
    an_hour = timedelta(milliseconds=AN_HOUR_MS)
    assert before + an_hour <= stored(database)[0]["expire_at"] <= after + an_hour


def test_repeat_overwrites_result_and_time(backend: MongoResultBackend, database: Database[Any]) -> None:
    sent = message()
    backend.store_exception(sent, ValueError("first"), 1)
    backend.store_result(sent, "second", AN_HOUR_MS)
    assert backend.get_result(sent) == "second"
    assert len(stored(database)) == 1


def test_rivals_storing_the_first_result_of_a_message_all_succeed(
    backend: MongoResultBackend, database: Database[Any]
) -> None:
    sent = [message() for _ in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: backend.store_result(sent[number // 8], number, AN_HOUR_MS), range(160)))
    assert len(stored(database)) == 20
    assert all(backend.get_result(one) // 8 == number for number, one in enumerate(sent))


def test_namespaces_and_prefixes_keep_results_apart(database: Database[Any]) -> None:
    sent = message()
    kinds: list[dict[str, Any]] = [{}, {"namespace": "other"}, {"collection_prefix": "p"}]
    for number, options in enumerate(kinds):
        MongoResultBackend(database=database, **options).store_result(sent, number, AN_HOUR_MS)
    assert [MongoResultBackend(database=database, **options).get_result(sent) for options in kinds] == [0, 1, 2]
    assert {document["_id"] for document in stored(database)} == {sent.message_id, f"other:{sent.message_id}"}
    assert database.p_dramatiq_results.count_documents({}) == 1


def test_whatever_the_client_was_told_a_majority_has_the_result_and_the_primary_is_read(
    servers: Servers, database: Database[Any]
) -> None:
    commands = Commands()
    options: dict[str, Any] = {"w": 1, "readPreference": "secondaryPreferred", "event_listeners": [commands]}
    with MongoClient[Any](servers.mongodb_uri, **options) as client:
        backend = MongoResultBackend(database=client[database.name])
        for _ in range(3):
            backend.store_result(message(), "x", AN_HOUR_MS)
        assert backend.get_collection(message()).read_preference == ReadPreference.PRIMARY
    assert [command["writeConcern"]["w"] for command in commands.named("update")] == ["majority"] * 3
    assert len(commands.named("createIndexes")) == 1
    assert database.dramatiq_results.index_information()["expiry"]["expireAfterSeconds"] == 0


def test_lost_connection_is_dramatiqs_error(
    make_broker: MakeBroker, failing: FailCommand, backend: MongoResultBackend
) -> None:
    faulty = MongoResultBackend(database=make_broker(client=FAULTY).database)
    sent = message()
    faulty.store_result(sent, "x", AN_HOUR_MS)
    with failing("update", closeConnection=True), pytest.raises(BrokerConnectionError):
        faulty.store_result(sent, "y", AN_HOUR_MS)
    with failing("find", closeConnection=True), pytest.raises(BrokerConnectionError):
        faulty.get_result(sent)
    with failing("find", closeConnection=True), pytest.raises(BrokerConnectionError):
        faulty.get_result(sent, block=True)
    assert backend.get_result(sent) == "x"


def test_result_of_a_run_that_is_over_joins_the_ack(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery], mongo: MongoClient[Any]
) -> None:
    delivery, sent = work(), message()
    backend.store_result(sent, "$done", AN_HOUR_MS)
    with pytest.raises(ResultMissing):
        backend.get_result(sent)
    (write,) = delivery.writes
    with mongo.start_session() as session:
        with session.start_transaction():
            write(session)
            with pytest.raises(ResultMissing):
                backend.get_result(sent)
        assert backend.get_result(sent) == "$done"
        write(None)  # A standalone has no transactions.
    assert backend.get_result(sent) == "$done"


def test_ack_that_is_rolled_back_stores_no_result(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery], mongo: MongoClient[Any]
) -> None:
    delivery, sent = work(), message()
    backend.store_result(sent, "late", AN_HOUR_MS)
    with mongo.start_session() as session:
        session.start_transaction()
        delivery.writes[0](session)
        session.abort_transaction()
    with pytest.raises(ResultMissing):
        backend.get_result(sent)


def test_result_joins_the_ack_although_the_index_cannot_be_made(
    make_broker: MakeBroker, failing: FailCommand, work: Callable[..., EndedDelivery]
) -> None:
    faulty = make_broker(client=FAULTY).database
    delivery = work(of=faulty)
    with failing("createIndexes", closeConnection=True):
        backend = MongoResultBackend(database=faulty)
        backend.store_result(message(), "x", AN_HOUR_MS)
    assert len(delivery.writes) == 1


def test_result_of_another_client_is_stored_before_the_ack(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery], make_broker: MakeBroker
) -> None:
    delivery, sent = work(of=make_broker().database), message()
    backend.store_result(sent, "x", AN_HOUR_MS)
    assert delivery.writes == []
    assert backend.get_result(sent) == "x"


def test_result_of_a_groups_member_is_stored_before_it_is_counted(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery]
) -> None:
    delivery, sent = work(), message()
    delivery.options["group_completion_uuid"] = "group"
    backend.store_result(sent, "x", AN_HOUR_MS)
    assert delivery.writes == []
    assert backend.get_result(sent) == "x"


def test_result_stored_while_the_actor_runs_is_written_at_once(
    backend: MongoResultBackend, work: Callable[..., EndedDelivery]
) -> None:
    delivery, sent = work(is_over=False), message()
    backend.store_exception(sent, ValueError("no"), AN_HOUR_MS)
    assert delivery.writes == []
    with pytest.raises(ResultFailure):
        backend.get_result(sent)


def test_message_that_went_to_another_worker_before_it_was_run_stores_no_result(
    backend: MongoResultBackend, broker: MongoBroker
) -> None:
    broker.enqueue(sent := message())
    consumer = broker.consume("default", prefetch=1, timeout=20)
    delivery = eventually(lambda: next(consumer))
    assert delivery
    delivery.disown()
    delivery.is_over = True
    set_current(delivery)
    try:
        # What the middleware does for a message that was skipped.
        backend.store_result(sent, None, AN_HOUR_MS)
    finally:
        set_current(None)
    consumer.ack(delivery)
    with pytest.raises(ResultMissing):
        backend.get_result(sent)


def test_failure_of_a_run_that_lost_its_lease_stores_no_result(
    results_broker: MongoBroker, backend: MongoResultBackend, queue: Queue, start_worker: StartWorker
) -> None:
    ended = Event()

    @dramatiq.actor(broker=results_broker, store_results=True, max_retries=0)
    def fail() -> None:
        queue.collection.update_many({}, {"$set": {"state": "DONE"}, "$unset": {"lease": ""}})
        ended.set()
        raise ValueError

    sent = fail.send()
    worker = start_worker(results_broker)
    assert ended.wait(timeout=60)
    worker.join()
    with pytest.raises(ResultMissing):
        backend.get_result(sent)


def test_result_of_a_message_that_completed_itself_is_stored(
    results_broker: MongoBroker, start_worker: StartWorker
) -> None:
    @dramatiq.actor(broker=results_broker, store_results=True)
    def complete() -> str:
        with transaction(results_broker.database.client):
            complete_current()
        return "done"

    start_worker(results_broker)
    assert results_of(complete.send(), results_broker) == "done"


@pytest.fixture
def results_broker(make_broker: MakeBroker) -> MongoBroker:
    """With a result backend on its own client."""
    made = make_broker()
    made.add_middleware(Results(backend=MongoResultBackend(database=made.database)))
    return made


def results_of(sent: Message[Any], broker: MongoBroker) -> Any:
    return sent.get_result(backend=broker.get_results_backend(), block=True, timeout=30_000)


def test_actors_results_failures_and_skips_reach_whoever_sent(
    results_broker: MongoBroker, start_worker: StartWorker
) -> None:
    @dramatiq.actor(broker=results_broker, store_results=True, max_retries=0, max_age=AN_HOUR_MS)
    def divide(number: int, by: int) -> float:
        return number / by

    start_worker(results_broker)
    assert results_of(divide.send(1, 2), results_broker) == 0.5
    with pytest.raises(ResultFailure, match="actor raised ZeroDivisionError: division by zero"):
        results_of(divide.send(1, 0), results_broker)
    too_old = divide.message(1, 2).copy(message_timestamp=0)
    with pytest.raises(ResultFailure, match="SkipMessage"):
        results_of(results_broker.enqueue(too_old), results_broker)


def test_retried_actors_result_is_that_of_the_last_run(results_broker: MongoBroker, start_worker: StartWorker) -> None:
    errors = [ValueError("one"), ValueError("two")]

    @dramatiq.actor(broker=results_broker, store_results=True)
    def try_hard() -> str:
        if errors:
            raise errors.pop()
        return "done"

    start_worker(results_broker)
    assert results_of(try_hard.send(), results_broker) == "done"


def test_pipeline_of_three_gives_every_result_in_order(
    results_broker: MongoBroker, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dramatiq.actor(broker=results_broker, store_results=True)
    def add(*numbers: int) -> int:
        return sum(numbers)

    start_worker(results_broker, threads=2)
    steps = pipeline([add.message(1, 2), add.message(3), add.message(4)], broker=results_broker).run()
    assert steps.get_result(block=True, timeout=30_000) == 10
    assert list(steps.get_results(block=True, timeout=30_000)) == [3, 6, 10]
    # What asks for completion knows no other broker.
    monkeypatch.setattr("dramatiq.broker.global_broker", results_broker)
    assert steps.completed
    assert steps.completed_count == 3


def test_group_waits_for_and_gives_every_result(results_broker: MongoBroker, start_worker: StartWorker) -> None:
    @dramatiq.actor(broker=results_broker, store_results=True)
    def square(number: int) -> int:
        return number * number

    waited_for = group((square.message(number) for number in range(20)), broker=results_broker).run()
    with pytest.raises(ResultTimeout):
        waited_for.wait(timeout=60)
    start_worker(results_broker, threads=4)
    waited_for.wait(timeout=30_000)
    assert list(waited_for.get_results()) == [number * number for number in range(20)]
