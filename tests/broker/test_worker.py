"""What Dramatiq promises of its brokers, with a worker of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import dramatiq
import pytest
from dramatiq import pipeline
from dramatiq.middleware import CurrentMessage, TimeLimitExceeded
from pymongo.database import Database

from app.stack import Servers
from broker import MongoBroker, complete_current, current_delivery, transaction
from broker.transaction import DURABLE
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


class Runs(list[Any]):
    """What actors were called with."""

    def actor(self, broker: MongoBroker, **options: Any) -> dramatiq.Actor[..., Any]:
        return dramatiq.actor(self._note, broker=broker, actor_name="note", **options)

    def failing(self, broker: MongoBroker, *errors: BaseException, **options: Any) -> dramatiq.Actor[..., Any]:
        """An actor that raises one error after the other, and then none."""
        left = list(errors)

        def fail(*args: Any) -> None:
            self.append(args)
            if left:
                raise left.pop(0)

        return dramatiq.actor(fail, broker=broker, actor_name="fail", **options)

    def _note(self, *args: Any) -> None:
        self.append(args)


@pytest.fixture
def runs() -> Runs:
    return Runs()


def finished(queue: Queue, *messages: Any, state: str = "DONE") -> None:
    eventually(lambda: all(queue.state(sent) == state for sent in messages))


def test_message_runs_once_and_is_done(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    start_worker(broker)
    finished(queue, note.send(1, "$two"))
    assert runs == [(1, "$two")]


def test_delayed_message_runs_and_none_is_kept_in_memory(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: note.send_with_options(delay=AN_HOUR_MS), range(500)))
    worker = start_worker(broker)
    finished(queue, note.send_with_options(args=("soon",), delay=1))
    assert runs == [("soon",)]
    assert queue.states() == {"DELAYED": 500, "DONE": 1}
    assert [consumer.delay_queue.qsize() for consumer in worker.consumers.values()] == [0]
    eventually(lambda: broker.shelves["default"].held() == [])
    assert worker.work_queue.qsize() == 0


def test_one_thread_runs_equal_priority_first_in_first_out(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    sent = [note.send(number) for number in range(20)]
    start_worker(broker)
    finished(queue, *sent)
    assert runs == [(number,) for number in range(20)]


def test_failed_message_is_retried_until_it_works(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    fail = runs.failing(broker, ValueError("one"), ValueError("two"))
    start_worker(broker)
    sent = fail.send("$x")
    finished(queue, sent)
    assert runs == [("$x",)] * 3
    assert queue.document(sent)["msg"]["options"]["retries"] == 2


def test_exhausted_retries_are_a_dead_letter_with_the_error(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    fail = runs.failing(broker, *[ValueError("no more paint")] * 9, max_retries=2)
    start_worker(broker)
    sent = fail.send()
    finished(queue, sent, state="REJECTED")
    assert len(runs) == 3
    assert queue.document(sent)["reason"] == "ValueError: no more paint"


def test_expected_error_is_a_dead_letter_at_once(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    fail = runs.failing(broker, ValueError("not for children"), throws=ValueError)
    start_worker(broker)
    sent = fail.send()
    finished(queue, sent, state="REJECTED")
    assert len(runs) == 1
    assert queue.document(sent)["reason"] == "ValueError: not for children"


def test_exhausted_retries_call_the_actor_that_was_named(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    runs.actor(broker)
    fail = runs.failing(broker, ValueError(), max_retries=0, on_retry_exhausted="note")
    start_worker(broker)
    sent = fail.send()
    finished(queue, sent, state="REJECTED")
    eventually(lambda: len(runs) == 2)
    assert (runs[1][0]["message_id"], runs[1][1]) == (sent.message_id, {"retries": 0, "max_retries": 0})


def test_retry_at_once_does_not_overtake_what_waits(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note, fail = runs.actor(broker), runs.failing(broker, dramatiq.Retry(delay=0))
    sent = [fail.send("first"), *(note.send(number) for number in range(6))]
    start_worker(broker)
    finished(queue, *sent)
    assert runs == [("first",), *((number,) for number in range(6)), ("first",)]


def test_message_for_an_unknown_actor_is_a_dead_letter(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    start_worker(broker)
    stranger = broker.enqueue(message("nobody"))
    finished(queue, note.send())
    finished(queue, stranger, state="REJECTED")


def test_too_old_message_is_a_dead_letter_and_does_not_run(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker, max_age=1)
    sent = broker.enqueue(note.message().copy(message_timestamp=0))
    start_worker(broker)
    finished(queue, sent, state="REJECTED")
    assert runs == []
    assert "age limit" in queue.document(sent)["reason"]
    assert current_delivery() is None


def test_run_beyond_its_time_limit_is_interrupted(broker: MongoBroker, start_worker: StartWorker, queue: Queue) -> None:
    broker.emit_after("process_boot")
    interrupted = threading.Event()

    @dramatiq.actor(broker=broker, time_limit=100, max_retries=0)
    def endless() -> None:
        try:
            while True:
                threading.Event().wait(0.01)
        except TimeLimitExceeded:
            interrupted.set()
            raise

    start_worker(broker)
    sent = endless.send()
    finished(queue, sent, state="REJECTED")
    assert interrupted.is_set()
    assert queue.document(sent)["reason"].endswith("TimeLimitExceeded")


def test_pipeline_hands_results_on(broker: MongoBroker, start_worker: StartWorker, runs: Runs) -> None:
    note = runs.actor(broker)

    @dramatiq.actor(broker=broker)
    def add(left: int, right: int = 0) -> int:
        return left + right

    start_worker(broker)
    pipeline([add.message(1, 2), add.message(10), note.message("$sum")], broker=broker).run()
    eventually(lambda: runs == [("$sum", 13)])


def test_pipeline_waits_for_a_retry(broker: MongoBroker, start_worker: StartWorker, runs: Runs) -> None:
    note, fail = runs.actor(broker), runs.failing(broker, ValueError())
    start_worker(broker)
    then = note.message_with_options(args=("then",), pipe_ignore=True)
    pipeline([fail.message("first"), then], broker=broker).run()
    eventually(lambda: runs == [("first",), ("first",), ("then",)])


def test_callbacks_are_called(broker: MongoBroker, start_worker: StartWorker, runs: Runs) -> None:
    note = runs.actor(broker)
    fail = runs.failing(broker, ValueError("broken"), max_retries=0, on_failure=note.actor_name)

    @dramatiq.actor(broker=broker, on_success=note.actor_name)
    def double(number: int) -> int:
        return 2 * number

    start_worker(broker)
    double.send(21)
    eventually(lambda: len(runs) == 1)
    fail.send()
    eventually(lambda: len(runs) == 3)
    assert runs[0][1] == 42
    assert runs[2][1] == {"type": "ValueError", "message": "broken"}


def test_running_message_is_known_to_its_actor_and_to_current_message(
    make_broker: MakeBroker, start_worker: StartWorker, queue: Queue
) -> None:
    seen: list[Any] = []
    broker = make_broker(middleware=[CurrentMessage()])

    @dramatiq.actor(broker=broker)
    def look() -> None:
        seen.extend([current_delivery(), CurrentMessage.get_current_message()])

    start_worker(broker)
    sent = look.send()
    finished(queue, sent)
    assert [found.message_id for found in seen] == [sent.message_id] * 2


def test_effects_completion_and_next_message_of_an_actor_commit_together(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, database: Database[Any], runs: Runs
) -> None:
    note = runs.actor(broker)

    @dramatiq.actor(broker=broker)
    def work() -> None:
        with transaction(broker.database.client) as session:
            broker.database.results.insert_one({}, session=session)
            note.send("next")
            complete_current()
        # Too late to be retried: what was done stays done.
        raise ValueError

    start_worker(broker)
    finished(queue, work.send())
    eventually(lambda: runs == [("next",)])
    assert database.results.count_documents({}) == 1


def test_message_sent_while_it_runs_under_its_own_id_is_a_repeat(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    """How a message with a fixed id schedules itself."""
    count: list[int] = []

    @dramatiq.actor(broker=broker)
    def tick() -> None:
        count.append(1)
        running = current_delivery()
        assert running
        if len(count) < 3:
            broker.enqueue(tick.message().copy(message_id=running.message_id), delay=1)

    start_worker(broker)
    finished(queue, tick.send())
    assert len(count) == 3


def test_join_returns_after_retries_and_delays(broker: MongoBroker, start_worker: StartWorker, runs: Runs) -> None:
    fail = runs.failing(broker, ValueError())
    start_worker(broker)
    fail.send_with_options(delay=50)
    broker.join("default", timeout=60_000)
    assert len(runs) == 2


def test_queue_declared_while_the_worker_runs_is_consumed(
    broker: MongoBroker, start_worker: StartWorker, runs: Runs
) -> None:
    start_worker(broker)
    late = runs.actor(broker, queue_name="late")
    late.send("here")
    eventually(lambda: runs == [("here",)])


def test_paused_worker_goes_on_after_its_resumption(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    worker = start_worker(broker)
    worker.pause()
    sent = note.send()
    worker.resume()
    finished(queue, sent)


def test_worker_can_be_started_after_another_one_stopped(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue, runs: Runs
) -> None:
    note = runs.actor(broker)
    start_worker(broker).stop()
    start_worker(broker)
    finished(queue, note.send())


def test_stopped_worker_finishes_what_runs_and_gives_back_the_rest(
    broker: MongoBroker, start_worker: StartWorker, queue: Queue
) -> None:
    started, gate = threading.Event(), threading.Event()

    @dramatiq.actor(broker=broker)
    def hold() -> None:
        started.set()
        assert gate.wait(60)

    running, *waiting = [hold.send() for _ in range(5)]
    worker = start_worker(broker)
    assert started.wait(60)
    with ThreadPoolExecutor() as threads:
        stopping = threads.submit(worker.stop)
        finished(queue, *waiting, state="QUEUED")
        assert queue.state(running) == "CONSUMED"
        gate.set()
        stopping.result(timeout=60)
    assert queue.states() == {"DONE": 1, "QUEUED": 4}
    assert queue.collection.count_documents({"crashes": 0}) == 5


@pytest.fixture(params=[{"closeConnection": True}, {"errorCode": 11601}], ids=["lost connection", "interruption"])
def strike(request: pytest.FixtureRequest, failing: FailCommand) -> FailCommand:
    """`with strike("insert")`: the next such commands of the faulty broker fail."""
    return lambda command: failing(command, times=3, **request.param)


@pytest.mark.parametrize("command", ["find", "update", "insert"])
def test_no_message_is_lost_while_commands_fail(
    broker: MongoBroker, make_broker: MakeBroker, start_worker: StartWorker, strike: FailCommand, command: str
) -> None:
    runs, faulty, queue = Runs(), make_broker(client=FAULTY), Queue(broker.database["default"])
    note, fail = runs.actor(faulty), runs.failing(faulty, ValueError("again"))
    broker.enqueue(fail.message("fails"))
    start_worker(faulty, threads=2)
    for _ in range(2):
        before = len(runs)
        with strike(command):
            for number in range(5):
                broker.enqueue(note.message(number))
            eventually(lambda before=before: len(runs) > before)  # type: ignore[misc]
    eventually(lambda: queue.states() == {"DONE": 11})


@pytest.fixture
def outage(servers: Servers) -> Any:
    """The time without a MongoDB begins with the call; the next call ends it."""
    yield lambda: servers.mongod.kill() if servers.mongod.pid else servers.mongod.restart()
    if servers.mongod.pid is None:
        servers.mongod.restart()


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_message_that_ran_through_an_outage_is_settled_after_it(
    make_broker: MakeBroker,
    start_worker: StartWorker,
    outage: Callable[[], None],
    queue: Queue,
    ends: str,
) -> None:
    broker = make_broker(client={"serverSelectionTimeoutMS": 200, "heartbeatFrequencyMS": 500})
    started, gate, tries = threading.Event(), threading.Event(), []

    @dramatiq.actor(broker=broker)
    def work() -> None:
        tries.append(1)
        started.set()
        assert gate.wait(60)
        if ends == "badly" and len(tries) == 1:
            raise ValueError

    sent = work.send()
    start_worker(broker)
    assert started.wait(60)
    # A claim is journaled a little later by itself; what is not yet journaled a kill undoes.
    queue.collection.database.with_options(write_concern=DURABLE).marks.insert_one({})
    outage()
    gate.set()
    assert eventually(broker.shelves["default"].held) == [UUID(sent.message_id)]
    outage()
    finished(queue, sent)
    assert len(tries) == (1 if ends == "well" else 2)
    finished(queue, work.send())
