"""Actors, their queues, priorities and arguments."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker, GenericActor, Message
from dramatiq.common import current_millis
from dramatiq.encoder import JSONEncoder, MessageData, PickleEncoder
from dramatiq.errors import ActorNotFound, QueueJoinTimeout, QueueNotFound
from dramatiq.middleware import CurrentMessage, Retries

from broker import MongoBroker
from tests.broker.conformance.conftest import LIMIT_MS, Finish, Start
from tests.broker.conformance.hooks import Recorder, dead, middleware_of, only_mongo
from tests.waiting import eventually


def test_actor_runs_with_the_arguments_it_was_sent(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(*args: Any, **kwargs: Any) -> None:
        runs.append((args, kwargs))

    note.send(1, "画伴", None, three=[3.5, {"four": {"$five": True, "a.b": []}}])
    finish()
    assert runs == [((1, "画伴", None), {"three": [3.5, {"four": {"$five": True, "a.b": []}}]})]


def test_called_actor_runs_here_and_now(broker: Broker) -> None:
    @dramatiq.actor
    def add(left: int, right: int) -> int:
        return left + right

    assert add(1, 2) == 3


def test_every_message_runs_once(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(number: int) -> None:
        runs.append(number)

    sent = [note.send(number) for number in range(50)]
    finish()
    assert len({message.message_id for message in sent}) == 50
    assert sorted(runs) == list(range(50))


def test_message_carries_its_options_to_the_actor(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        runs.append((message.message_id, message.actor_name, message.queue_name, message.message_timestamp))
        runs.append(message.options["colour"])

    sent = note.send_with_options(colour="red")
    finish()
    assert runs == [(sent.message_id, "note", "default", sent.message_timestamp), "red"]
    assert CurrentMessage.get_current_message() is None


def test_message_built_elsewhere_runs(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(word: str) -> None:
        runs.append(word)

    broker.enqueue(Message(**note.message("by hand").asdict()))
    finish()
    assert runs == ["by hand"]


def test_same_message_may_be_enqueued_again_after_it_ran(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append("run")

    message = note.send()
    finish()
    broker.enqueue(message)
    finish()
    assert runs == ["run", "run"]


@pytest.mark.parametrize("delay", [30, dt.timedelta(milliseconds=30)])
def test_delayed_message_does_not_run_before_its_time(
    broker: Broker, finish: Finish, runs: list[Any], delay: Any
) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append(current_millis())

    earliest = current_millis() + 30
    sent = note.send_with_options(delay=delay)
    finish()
    assert earliest <= sent.options["eta"] <= runs[0]


def test_of_two_delayed_messages_the_one_due_first_runs_first(broker: Broker, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(name: str) -> None:
        runs.append(name)

    # Apart by more than it takes to send them.
    for name, delay in (("late", 1_500), ("soon", 1)):
        note.send_with_options(args=(name,), delay=delay)
    start(threads=1)
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["soon", "late"]


def test_delay_of_zero_runs(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append("run")

    note.send_with_options(delay=0)
    finish()
    assert runs == ["run"]


def test_message_far_in_the_future_holds_up_nothing(broker: Broker, worker: Any, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(name: str) -> None:
        runs.append(name)

    note.send_with_options(args=("in ten years",), delay=10 * 365 * 86_400_000)
    note.send("now")
    eventually(lambda: runs == ["now"])
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=50)


@only_mongo
def test_delay_beyond_the_calendar_is_refused_or_holds_up_nothing(broker: Broker, worker: Any, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(name: str) -> None:
        runs.append(name)

    try:
        # Nanoseconds, by mistake.
        note.send_with_options(args=("never",), delay=10**18)
    except (ValueError, OverflowError):
        return
    note.send("now")
    eventually(lambda: runs == ["now"])


@only_mongo
def test_eta_that_is_no_number_is_refused_or_holds_up_nothing(broker: Broker, worker: Any, runs: list[Any]) -> None:
    @dramatiq.actor
    def note(name: str) -> None:
        runs.append(name)

    try:
        note.send_with_options(args=("bad",), eta="tomorrow")
    except (TypeError, ValueError):
        return
    note.send("now")
    eventually(lambda: "now" in runs)


def test_eta_among_the_options_is_kept(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append(current_millis())

    eta = current_millis() + 200
    note.send_with_options(eta=eta)
    finish()
    assert runs[0] >= eta


def test_urgent_actor_goes_first(broker: Broker, start: Start, runs: list[Any]) -> None:
    release = threading.Event()

    @dramatiq.actor
    def hold() -> None:
        runs.append("hold")
        release.wait()

    @dramatiq.actor(priority=100)
    def later() -> None:
        runs.append("later")

    @dramatiq.actor(priority=-100)
    def urgent() -> None:
        runs.append("urgent")

    worker = start(threads=1, prefetch=10)
    hold.send()
    eventually(lambda: runs == ["hold"])
    later.send()
    later.send()
    urgent.send()
    eventually(lambda: worker.work_queue.qsize() == 3)
    release.set()
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["hold", "urgent", "later", "later"]


def test_worker_of_some_queues_leaves_the_others_alone(broker: Broker, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor(queue_name="slow")
    def slow() -> None:
        runs.append("slow")

    @dramatiq.actor(queue_name="ui-blocking")
    def quick() -> None:
        runs.append("quick")

    worker = start(queues={"ui-blocking"})
    assert (slow.send().queue_name, quick.send().queue_name) == ("slow", "ui-blocking")
    broker.join("ui-blocking", timeout=LIMIT_MS)
    worker.join()
    with pytest.raises(QueueJoinTimeout):
        broker.join("slow", timeout=50)
    assert runs == ["quick"]


def test_queue_declared_after_the_worker_started_is_consumed(
    broker: Broker, worker: Any, finish: Finish, runs: list[Any]
) -> None:
    @dramatiq.actor(queue_name="new")
    def note() -> None:
        runs.append("run")

    note.send()
    finish()
    assert runs == ["run"]


def test_declared_names_are_told(broker: Broker) -> None:
    dramatiq.actor(lambda: None, actor_name="one")
    dramatiq.actor(lambda: None, actor_name="two", queue_name="other")
    assert broker.get_declared_queues() - broker.get_declared_delay_queues() == {"default", "other"}
    assert broker.get_declared_actors() == {"one", "two"}
    assert broker.get_actor("two").queue_name == "other"
    with pytest.raises(ActorNotFound):
        broker.get_actor("three")


def test_queue_may_be_declared_again(broker: Broker, recorder: Recorder, start: Start, runs: list[Any]) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append("run")

    note.send()
    broker.declare_queue("default")
    broker.declare_queue("default")
    assert recorder.names("declare_queue") == ["before_declare_queue", "after_declare_queue"]
    start()
    broker.join("default", timeout=LIMIT_MS)
    assert runs == ["run"]


def test_second_actor_of_a_name_is_refused(broker: Broker) -> None:
    dramatiq.actor(lambda: None, actor_name="same")
    with pytest.raises(ValueError, match="already registered"):
        dramatiq.actor(lambda: None, actor_name="same")


def test_actor_declared_once_more_replaces_the_first(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    first = dramatiq.actor(lambda: runs.append("first"), actor_name="same")
    del broker.actors["same"]
    dramatiq.actor(lambda: runs.append("second"), actor_name="same")
    broker.enqueue(first.message())
    finish()
    assert runs == ["second"]


def test_queue_that_was_never_declared_is_not_found(broker: Broker) -> None:
    with pytest.raises(QueueNotFound):
        broker.enqueue(Message(queue_name="nowhere", actor_name="a", args=(), kwargs={}, options={}))
    with pytest.raises(QueueNotFound):
        broker.consume("nowhere")
    with pytest.raises(QueueNotFound):
        broker.join("nowhere")


@only_mongo
def test_queue_that_was_never_declared_cannot_be_flushed(broker: Broker) -> None:
    with pytest.raises(QueueNotFound):
        broker.flush("nowhere")


def test_message_for_an_undefined_actor_is_a_dead_letter(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    note = dramatiq.actor(lambda: runs.append("run"), actor_name="note")
    stranger = broker.enqueue(Message(queue_name="default", actor_name="undefined", args=(), kwargs={}, options={}))
    note.send()
    finish()
    assert dead(broker) == {stranger.message_id}
    assert runs == ["run"]


def test_wrong_arguments_fail_the_message_like_any_error(broker: Broker, finish: Finish) -> None:
    @dramatiq.actor(max_retries=0)
    def note(word: str) -> None:
        """Take exactly one."""

    sent = broker.enqueue(note.message("one").copy(args=("too", "many")))
    finish()
    assert dead(broker) == {sent.message_id}


def test_class_based_actors_inherit_their_options(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    class Base(GenericActor):
        class Meta:
            abstract = True
            queue_name = "generic"
            max_retries = 0

        def perform(self, word: str = "") -> None:
            runs.append((self.name(), word))
            raise ValueError(word)

        def name(self) -> str:
            raise NotImplementedError

    class First(Base):
        def name(self) -> str:
            return "first"

    class Second(Base):
        def name(self) -> str:
            return "second"

    sent: list[Any] = [First.send("a"), Second.send("b")]
    finish()
    assert sorted(runs) == [("first", "a"), ("second", "b")]
    assert dead(broker, "generic") == {message.message_id for message in sent}


@pytest.mark.parametrize(
    "argument",
    [object(), {1, 2}, b"bytes", dt.datetime.now(dt.UTC), uuid.uuid4(), 1j],
    ids=lambda argument: type(argument).__name__,
)
def test_argument_that_is_not_json_fails_at_once(broker: Broker, argument: Any) -> None:
    @dramatiq.actor
    def note(_argument: Any) -> None:
        """Never run."""

    with pytest.raises(TypeError):
        note.send(argument)
    broker.join("default", timeout=LIMIT_MS)


@pytest.mark.parametrize(
    "pair",
    [
        ((1, (2,)), [1, [2]]),
        ({1: "one", None: 2}, {"1": "one", "null": 2}),
        (2**70, 2**70),
        (-(2**63) - 1, -(2**63) - 1),
        ({"a\0b": "c\0d"}, {"a\0b": "c\0d"}),
        ("\ud800", "\ud800"),
        (float("inf"), float("inf")),
        ({"": {"$literal": "$$NOW"}}, {"": {"$literal": "$$NOW"}}),
    ],
    ids=["tuple", "keys", "big", "small", "nul", "surrogate", "infinity", "dollar"],
)
@pytest.mark.parametrize("delay", [None, 1], ids=["now", "delayed"])
def test_argument_arrives_as_json_has_it(
    broker: Broker, finish: Finish, runs: list[Any], pair: tuple[Any, Any], delay: int | None
) -> None:
    @dramatiq.actor
    def note(argument: Any) -> None:
        runs.append(argument)

    sent, arrives = pair
    note.send_with_options(args=(sent,), delay=delay)
    finish()
    assert runs == [arrives]


@pytest.fixture
def restore_encoder() -> Iterator[None]:
    before = dramatiq.get_encoder()
    yield
    dramatiq.set_encoder(before)


@pytest.mark.usefixtures("restore_encoder")
def test_encoder_that_was_set_encodes_messages(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    dramatiq.set_encoder(PickleEncoder())
    argument = {dt.date(2026, 1, 2): (b"bytes", {1, 2}, 1j)}

    @dramatiq.actor(max_retries=1)
    def note(argument: Any) -> None:
        runs.append(argument)
        if len(runs) == 1:
            raise ValueError

    note.send(argument)
    finish()
    assert runs == [argument, argument]


@only_mongo
@pytest.mark.usefixtures("restore_encoder")
def test_message_that_cannot_be_decoded_is_a_dead_letter(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    class Choosy(JSONEncoder):
        def decode(self, data: bytes) -> MessageData:
            if b"unreadable" in data:
                raise RuntimeError
            return super().decode(data)

    dramatiq.set_encoder(Choosy())

    @dramatiq.actor
    def note(word: str) -> None:
        runs.append(word)

    sent = note.send("unreadable")
    note.send("plain")
    finish()
    assert runs == ["plain"]
    assert dead(broker) == {sent.message_id}


@only_mongo
def test_document_that_is_no_message_is_a_dead_letter(
    mongo_broker: MongoBroker, finish: Finish, runs: list[Any]
) -> None:
    @dramatiq.actor
    def note() -> None:
        runs.append("run")

    garbage = uuid.uuid4()
    mongo_broker.queues["default"].insert_one({"_id": garbage, "msg": "?", "state": "QUEUED", "priority": 0, "seq": 1})
    note.send()
    finish()
    assert runs == ["run"]
    assert dead(mongo_broker) == {str(garbage)}


def test_options_of_actors_are_those_of_the_middleware(broker: Broker) -> None:
    assert middleware_of(broker, Retries).actor_options <= broker.actor_options
    with pytest.raises(ValueError, match="undefined: colour"):
        dramatiq.actor(lambda: None, actor_name="note", colour="red")
