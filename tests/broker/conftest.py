"""A fresh database for each test, brokers on it, and workers: threads of this process, or the stock command line."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Worker
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries, ShutdownNotifications, TimeLimit
from pymongo import MongoClient
from pymongo.database import Database

from app.stack import Servers, mongod
from app.stack.ports import free_port
from broker import MongoBroker
from broker.leases import Lease
from tests.broker.faults import FailCommand, fail_command
from tests.broker.processes import Runs, WorkerProcess, worker_process
from tests.broker.queues import Queue

MakeBroker = Callable[..., MongoBroker]
StartWorker = Callable[..., Worker]
StartProcess = Callable[..., WorkerProcess]
START_GUARDIAN = Lease._start_guardian


@pytest.fixture(scope="session")
def mongo(servers: Servers) -> Iterator[MongoClient[Any]]:
    """What tests look into the database with, and change it by hand."""
    with MongoClient[Any](servers.mongodb_uri, uuidRepresentation="standard", w=1) as client:
        yield client


@pytest.fixture
def database(mongo: MongoClient[Any]) -> Iterator[Database[Any]]:
    name = f"broker_{secrets.token_hex(4)}"
    yield mongo[name]
    mongo.drop_database(name)


@pytest.fixture(autouse=True)
def _no_guardians(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers of this process start no guardian, which takes a second: no test lives as long as a lease."""
    monkeypatch.setattr(Lease, "_start_guardian", lambda _lease: None)


@pytest.fixture
def guardians(monkeypatch: pytest.MonkeyPatch, _no_guardians: None) -> None:
    """They are started after all."""
    monkeypatch.setattr(Lease, "_start_guardian", START_GUARDIAN)
    monkeypatch.setattr("broker.standby.STANDBY_S", 0.0)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dramatiq waits for seconds before it tries again what failed for want of a database."""
    monkeypatch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.05)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)


@pytest.fixture
def make_broker(servers: Servers, database: Database[Any]) -> Iterator[MakeBroker]:
    """Makes a broker on a client of its own; keyword arguments are the broker's, `client` the client's options."""
    with ExitStack() as stack:

        def make(*, client: dict[str, Any] | None = None, **options: Any) -> MongoBroker:
            connection = stack.enter_context(MongoClient[Any](servers.mongodb_uri, **(client or {})))
            middleware = [AgeLimit(), TimeLimit(interval=50), ShutdownNotifications(), Callbacks(), Pipelines()]
            broker = MongoBroker(
                database=connection[database.name],
                **{"middleware": [*middleware, Retries(min_backoff=1, max_backoff=1)], **options},
            )
            stack.callback(broker.close)
            return broker

        yield make


@pytest.fixture
def broker(make_broker: MakeBroker) -> MongoBroker:
    made = make_broker()
    made.declare_queue("default")
    return made


@pytest.fixture
def queue(database: Database[Any]) -> Queue:
    """The documents of the queue "default"."""
    return Queue(database["default"])


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    """Starts a worker of one thread in this process, unless told otherwise."""
    with ExitStack() as stack:

        def start(broker: MongoBroker, *, threads: int = 1) -> Worker:
            worker = Worker(broker, worker_threads=threads, worker_timeout=100)
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield start


@pytest.fixture
def start_process(servers: Servers, database: Database[Any], tmp_path: Path) -> Iterator[StartProcess]:
    """Starts `dramatiq tests.broker.actors`, and returns once it holds its lease. What is left at the end is killed."""
    with ExitStack() as stack:

        def start(**options: Any) -> WorkerProcess:
            log = tmp_path / f"worker-{secrets.token_hex(2)}.log"
            return stack.enter_context(worker_process(servers.mongodb_uri, database, log, **options))

        yield start


@pytest.fixture
def runs(database: Database[Any]) -> Runs:
    """What has run in `start_process`."""
    return Runs(database)


@pytest.fixture
def failing(mongo: MongoClient[Any]) -> FailCommand:
    """`with failing("insert", times=2, ...)`: the server fails commands of clients with the app name "faulty"."""

    @contextmanager
    def fail(*commands: str, times: int | None = None, **how: Any) -> Iterator[None]:
        with fail_command(mongo, commands, times=times, **how):
            yield

    return fail


@pytest.fixture(scope="package")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a mongod that is no replica set."""
    folder, port = tmp_path_factory.mktemp("standalone"), free_port()
    program = mongod.find(os.environ, links=folder / "lib")
    command = [str(program.path), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--quiet"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"],
            env={**os.environ, **program.env}, stdout=log,
        )  # fmt: skip
    try:
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
