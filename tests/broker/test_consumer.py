from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from bson import Timestamp
from dramatiq.errors import ConnectionError as BrokerConnectionError
from pymongo.database import Database

from broker import MongoBroker, documents
from broker.consumer import MongoConsumer
from broker.delivery import Delivery
from broker.lookout import Lookout
from tests.broker.commands import Commands
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

NOBODY = UUID(int=0)  # the same in every process of a run, because it is part of a test's name

Consume = Callable[..., MongoConsumer]


@pytest.fixture
def consume(broker: MongoBroker) -> Consume:
    """Opens a consumer that does not idle for long."""

    def start(*, prefetch: int = 8, timeout: int = 20, on: MongoBroker = broker) -> MongoConsumer:
        return on.consume("default", prefetch=prefetch, timeout=timeout)

    return start


def take(consumer: MongoConsumer) -> Delivery:
    """The next delivery, however often the consumer has to look."""
    return eventually(lambda: next(consumer))  # type: ignore[return-value]  # "eventually" returns what is not None


def names(consumer: MongoConsumer, count: int) -> list[Any]:
    """The first arguments of the next deliveries, each one acked."""
    found = []
    for _ in range(count):
        delivery = take(consumer)
        found.append(delivery.args[0])
        consumer.ack(delivery)
    return found


def idle(consumer: MongoConsumer) -> None:
    """Let it find that there is nothing, and wait to be told."""
    eventually(lambda: next(consumer) is None and consumer.bell.has_listener())


def test_idle_consumer_returns_none_after_its_timeout(consume: Consume) -> None:
    assert next(consume(timeout=1)) is None


def test_delivery_is_the_message_that_was_sent(broker: MongoBroker, consume: Consume) -> None:
    sent = broker.enqueue(message("note", "$a", {"$b.c": ["$$NOW", None]}).copy(options={"k.$": 1}))
    assert take(consume())._message == sent


@pytest.mark.parametrize("again", [None, 1])
def test_dollars_and_dots_survive_a_repeat(broker: MongoBroker, consume: Consume, again: int | None) -> None:
    consumer = consume()
    broker.enqueue(message("note", "$a", {"$b.c": "$$NOW"}), delay=1)
    delivery = take(consumer)
    delivery.settle(_rescheduled(delivery, again))
    assert take(consumer).args == ("$a", {"$b.c": "$$NOW"})


def _rescheduled(delivery: Delivery, delay_ms: int | None) -> Any:
    from broker import documents

    return documents.rescheduled(delivery._message.asdict(), delay_ms=delay_ms)


def test_acked_message_is_done_and_expires(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    sent = broker.enqueue(message())
    consumer = consume()
    consumer.ack(take(consumer))
    document = queue.document(sent)
    assert document["state"] == "DONE"
    assert "expire_at" in document
    assert "lease" not in document


def test_nacked_message_is_a_dead_letter_with_a_reason(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    sent = broker.enqueue(message())
    consumer = consume()
    delivery = take(consumer)
    delivery._exception = ValueError("no paint")
    consumer.nack(delivery)
    document = queue.document(sent)
    assert (document["state"], document["reason"]) == ("REJECTED", "ValueError: no paint")
    assert "expire_at" in document


def test_requeued_messages_are_ready_at_their_old_place_and_uncharged(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    for name in "abc":
        broker.enqueue(message("note", name))
    consumer = consume(prefetch=2)
    consumer.requeue(delivery for delivery in [take(consumer), take(consumer)])
    assert names(consumer, 3) == ["a", "b", "c"]
    assert queue.collection.count_documents({"crashes": 0}) == 3


def test_closed_consumer_gives_back_what_it_has_not_handed_out(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    for _ in range(3):
        broker.enqueue(message())
    consumer = consume()
    take(consumer)
    assert queue.states() == {"CONSUMED": 3}
    consumer.close()
    assert queue.states() == {"CONSUMED": 1, "QUEUED": 2}


def test_no_more_than_the_prefetch_is_held(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    for _ in range(5):
        broker.enqueue(message())
    consumer = consume(prefetch=2)
    first, _ = take(consumer), take(consumer)
    assert next(consumer) is None
    assert queue.states() == {"CONSUMED": 2, "QUEUED": 3}
    consumer.ack(first)
    assert take(consumer)


def test_prefetch_holds_through_the_replacement_of_a_consumer(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    for _ in range(5):
        broker.enqueue(message())
    before = consume(prefetch=2)
    running = [take(before), take(before)]
    before.close()
    after = consume(prefetch=2)
    assert next(after) is None
    for delivery in running:
        after.ack(delivery)
    assert [take(after), take(after), next(after)][-1] is None
    assert queue.states() == {"DONE": 2, "CONSUMED": 2, "QUEUED": 1}


def test_prefetch_per_thread_overrules_dramatiqs(make_broker: MakeBroker, queue: Queue) -> None:
    broker = make_broker(prefetch_per_thread=1)
    broker.declare_queue("default")
    broker.worker_threads = 2
    for _ in range(5):
        broker.enqueue(message())
    consumer = broker.consume("default", prefetch=16, timeout=20)
    assert [take(consumer), take(consumer), next(consumer)][-1] is None


def test_idle_thread_is_not_kept_waiting_for_a_worthwhile_batch(make_broker: MakeBroker) -> None:
    broker = make_broker(prefetch_per_thread=1)
    broker.declare_queue("default")
    broker.worker_threads = 8
    for _ in range(9):
        broker.enqueue(message())
    consumer = broker.consume("default", timeout=3_600_000)
    running = [take(consumer) for _ in range(8)]
    consumer.ack(running[0])
    # Waiting for a second idle thread would last for an hour.
    assert next(consumer)


def test_equal_priority_is_first_in_first_out_across_senders(
    broker: MongoBroker, make_broker: MakeBroker, consume: Consume
) -> None:
    other = make_broker()
    other.declare_queue("default")
    for number in range(0, 10, 2):
        broker.enqueue(message("note", number))
        other.enqueue(message("note", number + 1))
    assert names(consume(prefetch=4), 10) == list(range(10))


def test_urgent_message_is_next_although_many_were_sent_before(broker: MongoBroker, consume: Consume) -> None:
    @dramatiq.actor(broker=broker, priority=-5)
    def urgent(name: str) -> None: ...

    for number in range(6):
        broker.enqueue(message("note", number))
    consumer = consume(prefetch=2)
    assert names(consumer, 2) == [0, 1]
    urgent.send("now")
    assert names(consumer, 3) == ["now", 2, 3]


def test_worker_runs_what_was_claimed_first_of_equal_priority(broker: MongoBroker, consume: Consume) -> None:
    broker.declare_queue("other")
    broker.enqueue(message())
    first = take(consume())
    broker.enqueue(message(queue="other"))
    second = take(broker.consume("other", timeout=20))
    assert sorted([second, first]) == [first, second]


def test_delayed_messages_run_in_the_order_of_their_due_times(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    for second in (4, 2, 3, 1):
        sent = broker.enqueue(message("note", second), delay=60_000)
        due = {"$set": {"due": datetime(2020, 1, 1, second=second, tzinfo=UTC)}}
        queue.collection.update_one({"_id": UUID(sent.message_id)}, due)
    assert names(consume(), 4) == [1, 2, 3, 4]


def test_more_messages_than_one_batch_become_due_at_once(
    broker: MongoBroker, consume: Consume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.consumer.PROMOTED_AT_ONCE", 2)
    for number in range(7):
        broker.enqueue(message("note", number), delay=1)
    assert sorted(names(consume(prefetch=3), 7)) == list(range(7))


@pytest.fixture
def only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that knows no more than it has been told: no change stream, no look after the first."""
    monkeypatch.setattr(Lookout, "start", lambda _lookout: None)
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 3600)
    monkeypatch.setattr("broker.lookout.BUSY_AFTER_S", 3600)


@pytest.mark.usefixtures("only_told")
def test_one_look_and_one_update_claim_what_is_due_and_tell_when_the_next_is(
    make_broker: MakeBroker, consume: Consume, queue: Queue
) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    broker.declare_queue("default")
    consumer = consume(on=broker)
    idle(consumer)
    queue.collection.insert_one({"state": "DELAYED", "due": datetime.now(UTC) + timedelta(hours=1)})
    sent = [broker.enqueue(message("note", number), delay=1) for number in range(3)]
    for due in sent:
        queue.make_due(due)
    commands.sent.clear()
    assert names(consumer, 3) == [0, 1, 2]
    on_queue = [next(iter(command)) for command in commands.sent if "default" in command.values()]
    assert on_queue == ["find", *["update"] * 4]  # the claim of all, and the ack of each
    assert time.monotonic() < consumer.bell._due_at <= time.monotonic() + 3600


@pytest.mark.usefixtures("only_told")
def test_claim_that_left_room_is_followed_by_no_look(make_broker: MakeBroker, consume: Consume) -> None:
    commands = Commands()
    broker = make_broker(client={"event_listeners": [commands]})
    broker.declare_queue("default")
    consumer = consume(on=broker)
    idle(consumer)
    for number in range(3):
        broker.enqueue(message("note", number))
    commands.sent.clear()
    assert names(consumer, 3) == [0, 1, 2]
    assert next(consumer) is None
    assert len(commands.named("find", on="default")) == 1


@pytest.mark.usefixtures("only_told")
def test_who_has_not_listened_looks_for_what_is_ready_before_what_is_due(
    broker: MongoBroker, consume: Consume, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = consume(prefetch=1)
    idle(consumer)
    waiting = message("note", "waiting")
    queue.collection.insert_one(
        {"_id": UUID(waiting.message_id), "state": "QUEUED", "seq": Timestamp(1, 1), "msg": waiting.asdict()}
    )
    broker.enqueue(message("note", "was due"), delay=1)
    # As if the consumer had waited for room meanwhile: nothing that came was heard.
    monkeypatch.setattr("broker.lookout.BUSY_AFTER_S", 0)
    assert names(consumer, 2) == ["waiting", "was due"]


@pytest.mark.usefixtures("only_told")
def test_urgent_message_is_next_although_many_were_due_before(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    @dramatiq.actor(broker=broker, priority=-5)
    def urgent(name: str) -> None: ...

    consumer = consume(prefetch=2)
    idle(consumer)
    sent = [broker.enqueue(message("note", number), delay=60_000) for number in range(4)]
    sent.append(urgent.send_with_options(args=("now",), delay=60_000))
    for due in sent:
        queue.make_due(due)
    broker.lookout.ring("default", delay_ms=0.001)
    assert names(consumer, 5) == ["now", 0, 1, 2, 3]


@pytest.mark.usefixtures("only_told")
def test_message_claimed_when_it_was_due_is_given_back_to_its_place_in_line(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    consumer = consume()
    idle(consumer)
    sent = broker.enqueue(message(), delay=1)
    due = queue.document(sent)["due"]
    consumer.requeue([take(consumer)])
    document = queue.document(sent)
    assert (document["state"], document["seq"]) == ("QUEUED", documents.place_of(due))
    assert "due" not in document


@pytest.mark.usefixtures("only_told")
def test_due_message_of_a_paused_actor_waits_in_line_and_keeps_nobody_waiting(
    broker: MongoBroker, consume: Consume, queue: Queue
) -> None:
    broker.pause(actor="paused")
    consumer = consume()
    idle(consumer)
    paused = broker.enqueue(message("paused"), delay=1)
    broker.enqueue(message("note", "other"), delay=1)
    assert names(consumer, 1) == ["other"]
    assert next(consumer) is None
    assert queue.state(paused) == "QUEUED"


@pytest.mark.usefixtures("only_told")
def test_due_message_on_its_last_life_is_claimed_alone(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    consumer = consume()
    idle(consumer)
    first, suspect = [broker.enqueue(message("note", name), delay=60_000) for name in ("first", "suspect")]
    queue.collection.update_one({"_id": UUID(suspect.message_id)}, {"$set": {"crashes": 2}})
    for due in (first, suspect):
        queue.make_due(due)
    broker.lookout.ring("default", delay_ms=0.001)
    assert take(consumer).message_id == first.message_id
    assert queue.state(suspect) == "QUEUED"


def test_message_that_was_due_goes_before_those_sent_after(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    queue.make_due(broker.enqueue(message("note", "was due"), delay=60_000))
    broker.enqueue(message("note", "sent after"))
    assert names(consume(), 2) == ["was due", "sent after"]


def test_due_message_overtakes_none_that_was_ready_before(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    broker.enqueue(message("note", "waiting"))
    queue.collection.update_one({}, {"$set": {"seq": Timestamp(1, 1)}})
    queue.make_due(broker.enqueue(message("note", "was due"), delay=60_000))
    assert names(consume(), 2) == ["waiting", "was due"]


def test_eta_is_taken_off_a_due_message(broker: MongoBroker, consume: Consume) -> None:
    sent = broker.enqueue(message("note", kept=1), delay=1)
    delivery = take(consume())
    assert "eta" in sent.options
    assert delivery.options == {"kept": 1}


@pytest.mark.parametrize("delay", [None, 1, 400])
def test_message_is_claimed_by_one_of_many_rivals(
    broker: MongoBroker, make_broker: MakeBroker, queue: Queue, delay: int | None
) -> None:
    for number in range(40):
        broker.enqueue(message("note", number), delay=delay)
    taken: list[int] = []

    def rival() -> None:
        own = make_broker()
        own.declare_queue("default")
        consumer = own.consume("default", prefetch=4, timeout=20)
        while queue.collection.count_documents({"state": {"$in": ["QUEUED", "DELAYED"]}}):
            while delivery := next(consumer):
                taken.append(delivery.args[0])
                consumer.ack(delivery)

    rivals = [threading.Thread(target=rival) for _ in range(3)]
    for thread in rivals:
        thread.start()
    for thread in rivals:
        thread.join()
    assert sorted(taken) == list(range(40))


@pytest.mark.parametrize(
    "change",
    [
        {"$unset": {"msg": ""}},
        {"$set": {"msg": "words"}},
        {"$set": {"msg.extra": 1}},
        {"$set": {"msg.options": None}},
        {"$set": {"msg.args": None}},
        {"$set": {"msg.message_id": "no id"}},
        {"$set": {"msg.message_id": str(NOBODY)}},
        {"$set": {"msg.queue_name": "elsewhere"}},
    ],
    ids=str,
)
def test_unreadable_document_is_a_dead_letter_and_blocks_nobody(
    broker: MongoBroker, consume: Consume, queue: Queue, change: Any
) -> None:
    broken = broker.enqueue(message("note", "broken"))
    queue.collection.update_one({}, change)
    broker.enqueue(message("note", "fine"))
    assert names(consume(prefetch=1), 1) == ["fine"]
    document = queue.document(broken)
    assert document["state"] == "REJECTED"
    assert document["reason"].startswith("unreadable")


def test_document_of_an_alien_id_is_a_dead_letter(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    queue.collection.insert_one({"_id": 7, "state": "QUEUED", "msg": message().asdict()})
    assert next(consume()) is None
    assert queue.states() == {"REJECTED": 1}


def test_messages_of_plain_dramatiq_mongodb_are_understood(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    old = message("note", "old")
    queue.collection.insert_one({"_id": UUID(old.message_id), "state": "QUEUED", "msg": old.asdict()})
    assert names(consume(), 1) == ["old"]


def test_claim_whose_answer_was_lost_is_released(make_broker: MakeBroker, queue: Queue, failing: FailCommand) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    consumer = broker.consume("default", prefetch=8, timeout=20)
    assert next(consumer) is None
    for _ in range(3):
        broker.enqueue(message())
    # The write of the claim happens, and then its answer says that the primary goes.
    with failing("update", times=1, writeConcernError={"code": 91, "errmsg": "going"}):
        with pytest.raises(BrokerConnectionError):
            next(consumer)
        assert queue.states() == {"CONSUMED": 3}
    consumer.close()
    consumer = broker.consume("default", prefetch=8, timeout=20)
    assert len([take(consumer) for _ in range(3)]) == 3


def test_message_whose_ack_was_undone_by_a_failover_is_delivered_again(
    broker: MongoBroker, consume: Consume, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 0.0)
    sent = broker.enqueue(message())
    consumer = consume()
    delivery = take(consumer)
    leased = queue.document(sent)
    consumer.ack(delivery)
    queue.collection.replace_one({"_id": leased["_id"]}, leased)
    assert take(consumer).message_id == sent.message_id


def test_message_that_is_held_is_no_stray(
    broker: MongoBroker, consume: Consume, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.lookout.LOOK_EVERY_S", 0.0)
    sent = broker.enqueue(message())
    consumer = consume()
    late = take(consumer)
    queue.take_from_worker(sent)
    take(consumer)
    leased = queue.document(sent)
    # Here, too, a delivery that is over must not take the newer one with it.
    consumer.ack(late)
    assert next(consumer) is None
    assert queue.document(sent) == leased


def test_claims_stop_when_the_worker_stops(broker: MongoBroker, consume: Consume, queue: Queue) -> None:
    for _ in range(3):
        broker.enqueue(message())
    consumer = consume()
    take(consumer)
    broker.stopping.set()
    assert next(consumer) is None
    assert queue.states() == {"CONSUMED": 1, "QUEUED": 2}


def test_claimed_messages_that_cannot_be_given_back_stay_for_the_next_consumer(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    for _ in range(3):
        broker.enqueue(message())
    consumer = broker.consume("default", timeout=20, prefetch=3)
    take(consumer)
    with failing("update", closeConnection=True), pytest.raises(BrokerConnectionError):
        consumer.close()
    consumer = broker.consume("default", timeout=20, prefetch=3)
    assert len([take(consumer), take(consumer)]) == 2
    assert queue.states() == {"CONSUMED": 3}


@pytest.mark.parametrize("code", [50, 262, 365, 11601], ids=["time limit", "server's limit", "overload", "killed"])
def test_outcome_whose_write_was_cut_short_is_written_again(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand, code: int
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    sent = broker.enqueue(message())
    consumer = broker.consume("default", timeout=20)
    delivery = take(consumer)
    delivery.outcome = documents.given_back()
    # The driver itself asks once more after some of them.
    with failing("update", times=2, errorCode=code), pytest.raises(BrokerConnectionError):
        consumer.ack(delivery)
    # As the worker does with this error.
    consumer.ack(delivery)
    assert queue.state(sent) == "QUEUED"


def test_secondaries_are_never_read(make_broker: MakeBroker, database: Database[Any]) -> None:
    broker = make_broker(client={"readPreference": "secondary", "serverSelectionTimeoutMS": 100})
    broker.declare_queue("default")
    sent = broker.enqueue(message())
    assert take(broker.consume("default", timeout=20))._message == sent


@pytest.mark.parametrize(
    "change",
    [
        {"msg.options.retries": "x"},
        {"msg.actor_name": ["note"]},
        {"crashes": "x"},
        {"state": "DELAYED", "due": "x"},
        {"state": "DELAYED", "due": datetime(1969, 7, 20, tzinfo=UTC)},
    ],
    ids=str,
)
def test_odd_field_stops_no_queue(
    broker: MongoBroker, queue: Queue, start_worker: StartWorker, change: dict[str, Any]
) -> None:
    ran: list[str] = []
    dramatiq.actor(ran.append, broker=broker, actor_name="note")
    odd = broker.enqueue(message("note", "odd"))
    queue.collection.update_one({"_id": UUID(odd.message_id)}, {"$set": change})
    broker.enqueue(message("note", "fine"))
    start_worker(broker)
    eventually(lambda: "fine" in ran)


def test_claim_that_is_under_way_leaves_no_strays(
    broker: MongoBroker, consume: Consume, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = consume()
    assert next(consumer) is None
    sent = broker.enqueue(message())
    win = MongoConsumer._win

    def slow(self: MongoConsumer, found: Any, claim: Any) -> Any:
        won = win(self, found, claim)
        broker.lookout.next_look_at = 0.0
        broker.lookout.look()
        return won

    monkeypatch.setattr(MongoConsumer, "_win", slow)
    assert take(consumer).message_id == sent.message_id
    assert queue.state(sent) == "CONSUMED"
