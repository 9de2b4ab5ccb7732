"""Dramatiq's own command line, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import pytest
from pymongo.database import Database

from app.stack import Servers
from broker import MongoBroker
from tests.broker.conftest import MakeBroker
from tests.broker.queues import Queue, message
from tests.waiting import eventually

ERRANDS = "tests.broker.conformance.errands"
BESIDE_PYTHON = str(Path(sys.executable).parent)

Run = Callable[..., subprocess.Popen[bytes]]


class Runs:
    """What the errands have written down."""

    def __init__(self, database: Database[Any]) -> None:
        self._database = database

    def all(self, **wanted: Any) -> list[dict[str, Any]]:
        return list(self._database.runs.find(wanted).sort("at"))

    def names(self) -> list[str]:
        return [run["name"] for run in self.all()]

    def open_gate(self, name: str) -> None:
        self._database.gates.insert_one({"_id": name})


@pytest.fixture
def broker(make_broker: MakeBroker) -> MongoBroker:
    """What sends to the commands."""
    made = make_broker()
    made.declare_queue("default")
    made.declare_queue("other")
    return made


@pytest.fixture
def runs(database: Database[Any]) -> Runs:
    return Runs(database)


@pytest.fixture
def run(servers: Servers, database: Database[Any], tmp_path: Path) -> Iterator[Run]:
    """Starts a `dramatiq` command with some arguments. What is left of it at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []
    env = {
        **os.environ,
        # A reloaded command looks for "python", and in it for what it had imported.
        "PATH": f"{BESIDE_PYTHON}:{os.environ['PATH']}",
        "PYTHONPATH": f"{Path.cwd()}:{os.environ.get('PYTHONPATH', '')}",
        "TEST_MONGODB_URI": servers.mongodb_uri,
        "TEST_DATABASE": database.name,
    }

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"command-{len(started)}.log").open("wb") as log:
            command = [sys.executable, "-m", "dramatiq", *arguments]
            started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))
        return started[-1]

    yield start
    for command in started:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, SIGKILL)
        command.wait()


def test_command_runs_its_queues_on_its_processes_and_threads(
    broker: MongoBroker, database: Database[Any], run: Run, runs: Runs, tmp_path: Path
) -> None:
    pid_file = tmp_path / "dramatiq.pid"
    elsewhere = broker.enqueue(message("note_elsewhere", "other", queue="other"))
    # More than one process holds at once.
    held = [str(number) for number in range(100)]
    broker.enqueue_many([message("hold", name) for name in held])
    command = run(
        ERRANDS, "--queues", "default", "--processes", "2", "--threads", "2", "--pid-file", str(pid_file)
    )  # fmt: skip
    eventually(lambda: [*Counter(found["pid"] for found in runs.all()).values()] == [2, 2])
    assert {found["parent"] for found in runs.all()} == {command.pid}
    assert int(pid_file.read_text()) == command.pid
    for name in held:
        runs.open_gate(name)
    broker.join("default", timeout=30_000)
    assert sorted(runs.names()) == sorted([*held, *(f"{name} ended" for name in held)])
    assert Queue(database["other"]).state(elsewhere) == "QUEUED"

    assert run(ERRANDS, "--processes", "1", "--pid-file", str(pid_file)).wait() == 4
    command.terminate()
    assert command.wait() == 0
    assert not pid_file.exists()


def test_terminated_command_finishes_what_it_runs_and_leaves_the_rest(
    broker: MongoBroker, run: Run, runs: Runs, queue: Queue
) -> None:
    held, waiting = broker.enqueue(message("hold", "held")), broker.enqueue(message("note", "waiting"))
    command = run(f"{ERRANDS}:broker", "--processes", "1", "--threads", "1")
    eventually(lambda: runs.names() == ["held"])
    command.terminate()
    eventually(lambda: queue.state(waiting) == "QUEUED")
    runs.open_gate("held")
    assert command.wait() == 0
    assert runs.names() == ["held", "held ended"]
    assert (queue.state(held), queue.state(waiting)) == ("DONE", "QUEUED")


def test_second_signal_kills_the_command_and_another_runs_its_message(
    broker: MongoBroker, run: Run, runs: Runs, queue: Queue
) -> None:
    held = broker.enqueue(message("hold", "held"))
    command = run(f"{ERRANDS}:set_up", "--processes", "1", "--threads", "1")
    eventually(lambda: runs.names() == ["held"])
    [worker] = [found["pid"] for found in runs.all()]
    # Two that come at once may be one.
    eventually(lambda: _is_gone_when_told_again(worker))
    assert command.wait() != 0
    run(ERRANDS, "--processes", "1", "--threads", "1")
    eventually(lambda: len(runs.names()) == 2)
    runs.open_gate("held")
    eventually(lambda: queue.state(held) == "DONE")


def _is_gone_when_told_again(pid: int) -> bool:
    try:
        os.kill(pid, SIGTERM)
    except ProcessLookupError:
        return True
    return False


def test_reloaded_command_loses_no_message(broker: MongoBroker, run: Run, runs: Runs, queue: Queue) -> None:
    command = run(ERRANDS, "--processes", "2", "--threads", "1")
    names = [str(number) for number in range(60)]
    for name in names[:20]:
        broker.enqueue(message("note", name))
    eventually(lambda: len(runs.names()) == 20)
    before = {found["pid"] for found in runs.all()}
    command.send_signal(SIGHUP)
    for name in names[20:]:
        broker.enqueue(message("note", name), delay=int(name) % 3)
    eventually(lambda: queue.states() == {"DONE": 60})
    assert sorted(runs.names()) == sorted(names)
    broker.enqueue(message("note", "new"))
    # Those that were there before may take a second to see the signal.
    eventually(lambda: any(found["pid"] not in before for found in runs.all()) or _send_another(broker))
    assert {found["parent"] for found in runs.all()} == {command.pid}


def _send_another(broker: MongoBroker) -> bool:
    broker.enqueue(message("note", "new"))
    return False


def test_watched_file_that_changes_reloads_the_command(
    broker: MongoBroker, run: Run, runs: Runs, tmp_path: Path
) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    module = folder / "watched_errands.py"

    def write(version: int) -> None:
        module.write_text(
            "import dramatiq\n"
            f"from {ERRANDS} import record\n"
            "@dramatiq.actor\n"
            f"def versioned(name): record(name, version={version})\n"
        )

    write(1)
    run("watched_errands", "--path", str(folder), "--watch", str(folder), "--processes", "1", "--threads", "1")
    broker.enqueue(message("versioned", "0"))
    eventually(lambda: runs.all(version=1))
    write(2)
    sent = 0

    def new_version_runs() -> bool:
        nonlocal sent
        sent += 1
        broker.enqueue(message("versioned", str(sent)))
        return bool(runs.all(version=2))

    eventually(new_version_runs)
    eventually(lambda: len(runs.names()) == 1 + sent)
    assert sorted(runs.names(), key=int) == [str(number) for number in range(1 + sent)]


@pytest.mark.parametrize(
    "arguments",
    [["tests.broker.conformance.no_such_module"], [f"{ERRANDS}:no_such_broker"], [ERRANDS, "no_such_module"]],
)
def test_command_that_cannot_import_says_so(run: Run, arguments: list[str]) -> None:
    assert run(*arguments, "--processes", "1").wait() == 2
