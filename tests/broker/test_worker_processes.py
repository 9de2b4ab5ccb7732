"""Workers started by the stock command line, and what happens when they are killed, stopped and continued."""

from __future__ import annotations

from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

from pymongo.database import Database

from broker import MongoBroker
from tests.broker.conftest import StartProcess
from tests.broker.processes import Runs
from tests.broker.queues import Queue, message
from tests.waiting import eventually


def test_every_message_runs_exactly_once_on_two_processes(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    for number in range(100):
        broker.enqueue(message("note", str(number)))
    worker = start_process(processes=2, threads=4)
    for number in range(100, 200):
        broker.enqueue(message("note", str(number)), delay=number % 3 or None)
    eventually(lambda: queue.states() == {"DONE": 200})
    assert runs.counts() == {str(number): 1 for number in range(200)}
    worker.signal_workers(SIGTERM)


def test_messages_of_a_killed_worker_run_on_another(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    victim = start_process(prefetch=4)
    names = ["held", "a", "b", "c"]
    sent = [broker.enqueue(message("hold" if name == "held" else "note", name)) for name in names]
    eventually(lambda: runs.of("held") and queue.states() == {"CONSUMED": 4})
    rescuer = start_process()
    victim.signal_workers(SIGKILL)
    runs.open_gate("held")
    eventually(lambda: queue.states() == {"DONE": 4})
    assert runs.of("held", "end")[-1] in rescuer.workers
    assert [queue.document(found)["crashes"] for found in sent[1:]] == [0, 0, 0]


def test_messages_of_a_worker_killed_with_its_guardian_run_on_another(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    victim = start_process(prefetch=3, lease_s=2.0)
    broker.enqueue(message("hold", "held"))
    for name in "ab":
        broker.enqueue(message("note", name))
    eventually(lambda: runs.of("held") and queue.states() == {"CONSUMED": 3})
    victim.kill()
    rescuer = start_process(lease_s=2.0)
    runs.open_gate("held")
    eventually(lambda: queue.states() == {"DONE": 3})
    assert runs.of("held", "end") == rescuer.workers


def test_live_worker_in_native_code_keeps_its_message(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    lease_s = 3.0
    start_process(lease_s=lease_s)
    sent = broker.enqueue(message("hog", "long", 2 * lease_s))
    eventually(lambda: runs.of("long"))
    start_process(lease_s=lease_s)
    eventually(lambda: queue.state(sent) == "DONE", limit_s=60)
    assert runs.counts() == {"long": 1}


def test_worker_that_lost_its_lease_cannot_finish(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs, database: Database[Any]
) -> None:
    frozen = start_process(lease_s=3.0)
    sent = broker.enqueue(message("hold_and_complete", "film"))
    eventually(lambda: runs.of("film"))
    frozen.signal_workers(SIGSTOP)
    other = start_process(lease_s=3.0)
    eventually(lambda: len(runs.of("film")) == 2)
    runs.open_gate("film")
    eventually(lambda: queue.state(sent) == "DONE")
    done = queue.document(sent)
    other.kill()

    frozen.signal_workers(SIGCONT)
    broker.enqueue(message("note", "after"))
    # Its one thread runs this when it is through with the other.
    eventually(lambda: runs.of("after"))
    assert runs.of("film", "refused") == frozen.workers
    assert queue.document(sent) == done
    assert database.completions.count_documents({}) == 1


def test_message_that_kills_its_workers_is_a_dead_letter_and_its_neighbours_run(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    poison = broker.enqueue(message("die", "poison"))
    neighbours = [broker.enqueue(message("note", name)) for name in "abcd"]
    for death in range(1, 4):
        start_process(prefetch=8)
        eventually(lambda death=death: queue.document(poison)["crashes"] == death)  # type: ignore[misc]
    assert queue.state(poison) == "REJECTED"
    start_process(prefetch=8)
    eventually(lambda: queue.states() == {"REJECTED": 1, "DONE": 4})
    assert len(runs.of("poison")) == 3
    assert [queue.document(found)["crashes"] for found in neighbours] == [0, 0, 0, 0]


def test_retry_outlives_its_worker(broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs) -> None:
    first = start_process()
    sent = broker.enqueue(message("try_later", "retried", 60_000))
    eventually(lambda: queue.state(sent) == "DELAYED")
    first.kill()
    queue.make_due(sent)
    second = start_process()
    eventually(lambda: queue.state(sent) == "DONE")
    assert runs.of("retried") == first.workers + second.workers


def test_sigterm_finishes_what_runs_and_gives_back_the_rest(
    broker: MongoBroker, start_process: StartProcess, queue: Queue, runs: Runs
) -> None:
    leaving = start_process(prefetch=8)
    running = broker.enqueue(message("hold", "running"))
    waiting = [broker.enqueue(message("note", name)) for name in "abc"]
    eventually(lambda: runs.of("running") and queue.states() == {"CONSUMED": 4})
    leaving.main.send_signal(SIGTERM)
    staying = start_process()
    eventually(lambda: all(queue.state(found) == "DONE" for found in waiting))
    assert queue.state(running) == "CONSUMED"
    assert [runs.of(name) for name in "abc"] == [staying.workers] * 3
    assert [queue.document(found)["crashes"] for found in waiting] == [0, 0, 0]

    runs.open_gate("running")
    assert leaving.main.wait(timeout=60) == 0
    assert runs.of("running", "end") == leaving.workers
    assert queue.states() == {"DONE": 4}
