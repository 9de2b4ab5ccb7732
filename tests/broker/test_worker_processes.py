"""Workers started by the stock command line, beyond what `test_promises` has of them."""

from __future__ import annotations

from signal import SIGCONT, SIGSTOP, SIGTERM
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
