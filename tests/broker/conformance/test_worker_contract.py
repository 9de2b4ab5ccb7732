"""What middleware is told, what workers and consumers do, and the calls that tests wait with."""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker, Message, Middleware
from dramatiq.errors import QueueJoinTimeout
from dramatiq.middleware import AgeLimit, CurrentMessage, MiddlewareError, Retries, SkipMessage

from broker import MongoBroker
from tests.broker.conformance.conftest import LIMIT_MS, Finish, Start
from tests.broker.conformance.hooks import Call, Recorder, dead, only_mongo
from tests.waiting import eventually


@pytest.fixture
def note(broker: Broker, runs: list[Any]) -> Any:
    def note(*args: Any) -> None:
        runs.append(args)

    return dramatiq.actor(note)


def test_hooks_around_a_message_that_works(broker: Broker, recorder: Recorder, start: Start) -> None:
    give = dramatiq.actor(lambda: 5, actor_name="give", on_success="take")
    dramatiq.actor(lambda *_: None, actor_name="take", queue_name="elsewhere")
    recorder.calls.clear()
    sent = give.send()
    worker = start(queues={"default"})
    broker.join("default", timeout=LIMIT_MS)
    worker.join()
    own = [call for call in recorder.calls if getattr(call.args[0], "message_id", None) == sent.message_id]
    assert [call.hook for call in own] == [
        "before_enqueue",
        "after_enqueue",
        "before_process_message",
        "after_process_message",
        "before_ack",
        "after_ack",
    ]
    assert own[3].kwargs == {"result": 5}
    assert [call.args[1] for call in own[:2]] == [None, None]


def test_hooks_around_a_message_that_fails(broker: Broker, recorder: Recorder, finish: Finish) -> None:
    error = ValueError("wrong")

    @dramatiq.actor(max_retries=1)
    def fail() -> None:
        raise error

    fail.send()
    finish()
    assert recorder.names("process_message", "skip", "nack") == [
        *2 * ["before_process_message", "after_process_message"],
        "before_nack",
        "after_nack",
    ]
    assert [call.kwargs["exception"] for call in recorder.of("after_process_message")] == [error, error]


def test_hooks_of_a_delayed_message_know_its_delay_and_time(
    broker: Broker, recorder: Recorder, finish: Finish, note: Any
) -> None:
    sent = note.send_with_options(delay=20)
    finish()
    before, after = recorder.of("before_enqueue")[0], recorder.of("after_enqueue")[0]
    assert (before.args[1], after.args[1]) == (20, 20)
    assert before.args[0].options["eta"] == after.args[0].options["eta"] == sent.options["eta"]


def test_hooks_around_declarations(broker: Broker, recorder: Recorder) -> None:
    note = dramatiq.actor(lambda: None, actor_name="note", queue_name="new")
    calls = [call for call in recorder.calls if call.hook != "after_declare_delay_queue"]
    assert [(call.hook, call.args) for call in calls] == [
        ("before_declare_actor", (note,)),
        ("before_declare_queue", ("new",)),
        ("after_declare_queue", ("new",)),
        ("after_declare_actor", (note,)),
    ]


def test_hooks_around_a_worker(broker: Broker, recorder: Recorder, start: Start, note: Any) -> None:
    worker = start(threads=2, queues={"default"})
    eventually(lambda: recorder.of("after_consumer_thread_boot"))
    eventually(lambda: len(recorder.of("after_worker_thread_boot")) == 2)
    worker.stop()
    told = [(call.hook, call.args[0]) for call in recorder.calls if "worker_boot" in call.hook]
    told += [(call.hook, call.args[0]) for call in recorder.calls if "worker_shutdown" in call.hook]
    hooks = ["before_worker_boot", "after_worker_boot", "before_worker_shutdown", "after_worker_shutdown"]
    assert told == [(hook, worker) for hook in hooks]
    assert len(recorder.of("before_worker_thread_shutdown")) == 2
    gone = {call.args[0] for call in recorder.of("before_consumer_thread_shutdown")}
    assert gone == set(worker.consumers.values())
    assert recorder.names("worker_boot", "worker_shutdown")[-1] == "after_worker_shutdown"


def test_process_boot_is_told(broker: Broker, recorder: Recorder) -> None:
    broker.emit_after("process_boot")
    assert recorder.names() == ["after_process_boot"]


def test_middleware_goes_in_order_before_and_in_reverse_after(broker: Broker, finish: Finish, note: Any) -> None:
    calls: list[Call] = []
    for name in "ab":
        broker.add_middleware(Recorder(name, calls))
    calls.clear()
    note.send()
    finish()
    for part in ("enqueue", "process_message", "ack"):
        assert [call.told for call in calls if call.hook == f"before_{part}"] == ["a", "b"]
        assert [call.told for call in calls if call.hook == f"after_{part}"] == ["b", "a"]


def test_middleware_finds_its_place_beside_another(broker: Broker) -> None:
    before, after = Recorder("before"), Recorder("after")
    broker.add_middleware(before, before=AgeLimit)
    broker.add_middleware(after, after=AgeLimit)
    assert [type(found) for found in broker.middleware[:3]] == [Recorder, AgeLimit, Recorder]
    assert (broker.middleware[0], broker.middleware[2]) == (before, after)
    with pytest.raises(ValueError, match="not found"):
        broker.add_middleware(Recorder(), before=SkipEverything)


def test_late_middleware_is_told_of_the_queues(broker: Broker, note: Any) -> None:
    late = Recorder()
    broker.add_middleware(late)
    assert ("default",) in [call.args for call in late.of("after_declare_queue")]


# Dramatiq 1.18 tells the actor's name instead (its issue 743).
@only_mongo
def test_late_middleware_is_told_of_the_actors(broker: Broker, note: Any) -> None:
    late = Recorder()
    broker.add_middleware(late)
    assert [call.args for call in late.of("after_declare_actor")] == [(note,)]


def test_broker_has_the_middleware_it_was_given(make_broker: Any) -> None:
    assert make_broker(middleware=[]).middleware == []
    given = [Retries(), CurrentMessage()]
    assert make_broker(middleware=given).middleware == given


def test_hook_may_add_options_to_a_message(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    class Trace(Middleware):
        def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
            message.options["trace"] = "t1"

    @dramatiq.actor
    def note() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        runs.append(message.options["trace"])

    broker.add_middleware(Trace())
    note.send()
    note.send_with_options(delay=1)
    finish()
    assert runs == ["t1", "t1"]


def test_hook_that_fails_changes_nothing(broker: Broker, finish: Finish, note: Any, runs: list[Any]) -> None:
    class Broken(Middleware):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith(("before_", "after_")):
                raise RuntimeError(name)
            return super().__getattribute__(name)

    broker.middleware.append(Broken())
    note.send()
    finish()
    assert runs == [()]


def test_hook_may_refuse_a_message(broker: Broker, finish: Finish, note: Any, runs: list[Any]) -> None:
    class Refused(MiddlewareError):
        """Not wanted."""

    class Refuse(Middleware):
        def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
            raise Refused

    broker.add_middleware(Refuse())
    with pytest.raises(Refused):
        note.send()
    finish()
    assert runs == []


class SkipEverything(Middleware):
    def before_process_message(self, broker: Broker, message: Any) -> None:
        raise SkipMessage


class FailEverything(Middleware):
    def before_process_message(self, broker: Broker, message: Any) -> None:
        message.fail()


def test_skipped_message_is_done_without_a_run(
    broker: Broker, recorder: Recorder, finish: Finish, note: Any, runs: list[Any]
) -> None:
    broker.add_middleware(SkipEverything())
    note.send()
    finish()
    assert runs == []
    assert dead(broker) == set()
    assert recorder.names("process_message", "skip", "ack", "nack") == [
        "before_process_message",
        "after_skip_message",
        "before_ack",
        "after_ack",
    ]


def test_failed_message_is_a_dead_letter_without_a_run(
    broker: Broker, recorder: Recorder, finish: Finish, note: Any, runs: list[Any]
) -> None:
    broker.add_middleware(FailEverything())
    sent = note.send()
    finish()
    assert runs == []
    assert dead(broker) == {sent.message_id}
    assert recorder.names("process_message", "skip", "ack", "nack") == [
        "before_process_message",
        "after_process_message",
        "before_nack",
        "after_nack",
    ]


def test_actor_may_fail_its_own_message(broker: Broker, finish: Finish) -> None:
    @dramatiq.actor
    def give_up() -> None:
        message: Any = CurrentMessage.get_current_message()
        message.fail()

    sent = give_up.send()
    finish()
    assert dead(broker) == {sent.message_id}


def test_paused_worker_runs_nothing_until_it_is_resumed(
    broker: Broker, worker: Any, note: Any, runs: list[Any]
) -> None:
    note.send("before")
    broker.join("default", timeout=LIMIT_MS)
    worker.pause()
    note.send("meanwhile")
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=200)
    assert runs == [("before",)]
    worker.resume()
    broker.join("default", timeout=LIMIT_MS)
    worker.join()
    assert runs == [("before",), ("meanwhile",)]


def test_second_worker_goes_on_where_the_first_stopped(
    broker: Broker, start: Start, note: Any, runs: list[Any]
) -> None:
    first = start()
    note.send(1)
    broker.join("default", timeout=LIMIT_MS)
    first.stop()
    note.send(2)
    start()
    broker.join("default", timeout=LIMIT_MS)
    assert runs == [(1,), (2,)]


def test_join_gives_up_after_its_timeout(broker: Broker, note: Any) -> None:
    note.send()
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=1)
    broker.flush("default")
    broker.join("default", timeout=1)


def test_join_waits_for_what_runs_and_for_what_is_delayed(broker: Broker, worker: Any, note: Any) -> None:
    release = threading.Event()
    hold = dramatiq.actor(release.wait, actor_name="hold", queue_name="held")
    hold.send()
    note.send_with_options(delay=3_600_000)
    for queue_name in ("held", "default"):
        with pytest.raises(QueueJoinTimeout):
            broker.join(queue_name, timeout=50)
    release.set()
    broker.join("held", timeout=LIMIT_MS)


def test_worker_join_waits_for_what_it_runs(broker: Broker, worker: Any, runs: list[Any]) -> None:
    begun, release = threading.Event(), threading.Event()

    @dramatiq.actor
    def hold() -> None:
        begun.set()
        release.wait()
        runs.append("finished")

    hold.send()
    begun.wait()
    joining = threading.Thread(target=worker.join)
    joining.start()
    assert joining.is_alive()
    release.set()
    joining.join()
    assert runs == ["finished"]


def test_flush_empties_one_queue_and_flush_all_every_queue(
    broker: Broker, start: Start, note: Any, runs: list[Any]
) -> None:
    other = dramatiq.actor(lambda *args: runs.append(args), actor_name="other", queue_name="other")
    note.send()
    other.send()
    broker.flush("default")
    broker.join("default", timeout=1)
    with pytest.raises(QueueJoinTimeout):
        broker.join("other", timeout=1)
    note.send()
    other.send_with_options(delay=3_600_000)
    broker.flush_all()
    for queue_name in ("default", "other"):
        broker.join(queue_name, timeout=1)
    start()
    note.send("new")
    broker.join("default", timeout=LIMIT_MS)
    assert runs == [("new",)]


@only_mongo
def test_flush_takes_delayed_messages_and_dead_letters_along(broker: Broker, taken: Any, note: Any) -> None:
    _, consumer, claimed = taken
    consumer.nack(claimed)
    note.send_with_options(delay=3_600_000)
    broker.flush("default")
    broker.join("default", timeout=1)
    assert dead(broker) == set()


@pytest.fixture
def taken(broker: Broker, note: Any) -> Any:
    """A message that was sent, and the one that a consumer has claimed for it."""
    sent = note.send("one")
    consumer = broker.consume("default", prefetch=2, timeout=LIMIT_MS)
    return sent, consumer, next(consumer)


def is_empty(broker: Broker) -> bool:
    """Whether a second consumer finds nothing."""
    consumer = broker.consume("default", prefetch=1, timeout=1)
    try:
        return next(consumer) is None
    finally:
        consumer.close()


def test_claimed_message_is_the_one_that_was_sent(broker: Broker, taken: Any) -> None:
    sent, consumer, claimed = taken
    assert (claimed.message_id, claimed.actor_name, claimed.args) == (sent.message_id, "note", ("one",))
    assert claimed == sent
    assert not claimed.failed
    assert is_empty(broker)
    consumer.close()


def test_acked_message_is_gone(broker: Broker, taken: Any) -> None:
    _, consumer, claimed = taken
    consumer.ack(claimed)
    broker.join("default", timeout=LIMIT_MS)
    assert dead(broker) == set()


def test_nacked_message_is_a_dead_letter(broker: Broker, taken: Any) -> None:
    sent, consumer, claimed = taken
    consumer.nack(claimed)
    broker.join("default", timeout=LIMIT_MS)
    assert dead(broker) == {sent.message_id}


def test_consumer_without_work_returns_none_after_its_timeout(broker: Broker, note: Any) -> None:
    assert is_empty(broker)


@only_mongo
def test_requeued_message_is_claimed_again(broker: Broker, taken: Any) -> None:
    sent, consumer, claimed = taken
    consumer.requeue([claimed])
    again = next(consumer)
    assert again.message_id == sent.message_id
    consumer.ack(again)
    broker.join("default", timeout=LIMIT_MS)


@only_mongo
def test_closed_consumer_gives_back_what_it_has_not_handed_out(broker: Broker, note: Any, taken: Any) -> None:
    _, consumer, claimed = taken
    second = note.send("two")
    third = note.send("three")
    consumer.ack(claimed)
    assert next(consumer).message_id == second.message_id
    consumer.close()
    other = broker.consume("default", prefetch=2, timeout=LIMIT_MS)
    assert next(other).message_id == third.message_id


@only_mongo
@pytest.mark.parametrize("delay", [None, 20], ids=["at once", "delayed"])
@pytest.mark.parametrize("form", ["claimed", "copy", "decoded"])
@pytest.mark.parametrize("settle", ["ack", "nack"])
def test_message_enqueued_while_it_is_held_is_delivered_once_more(
    broker: Broker, taken: Any, delay: int | None, form: str, settle: str
) -> None:
    sent, consumer, claimed = taken
    claimed.options["retries"] = 1
    repeat = {
        "claimed": claimed,
        "copy": claimed.copy(options={"retries": 1}),
        "decoded": Message(**claimed.asdict()),
    }[form]
    broker.enqueue(repeat, delay=delay)
    getattr(consumer, settle)(claimed)
    again = next(consumer)
    assert (again.message_id, again.options["retries"]) == (sent.message_id, 1)
    consumer.ack(again)
    broker.join("default", timeout=LIMIT_MS)
    assert is_empty(broker)
    assert dead(broker) == set()


@only_mongo
@pytest.mark.parametrize("settle", ["ack", "nack"])
def test_message_that_was_never_claimed_is_settled_in_vain(broker: Broker, note: Any, settle: str) -> None:
    consumer = broker.consume("default", timeout=1)
    waiting = note.send()
    getattr(consumer, settle)(note.message())
    getattr(consumer, settle)(waiting)
    assert next(consumer).message_id == waiting.message_id


@only_mongo
def test_message_is_settled_once(broker: Broker, taken: Any) -> None:
    sent, consumer, claimed = taken
    consumer.nack(claimed)
    consumer.ack(claimed)
    consumer.requeue([claimed])
    broker.join("default", timeout=LIMIT_MS)
    assert dead(broker) == {sent.message_id}


@only_mongo
def test_two_consumers_never_get_the_same_message(make_broker: Any, mongo_broker: MongoBroker, note: Any) -> None:
    sent = {note.send(number).message_id for number in range(20)}
    other = make_broker()
    other.declare_queue("default")
    consumers = [one.consume("default", prefetch=20, timeout=1) for one in (mongo_broker, other)]
    got = [claimed.message_id for _ in range(40) for one in consumers if (claimed := next(one))]
    assert len(got) == 20
    assert set(got) == sent
