"""Three mongod as a replica set on loopback, each of which can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, NotPrimaryError, OperationFailure, PyMongoError

from app.stack import mongod, tether
from app.stack.ports import free_port
from tests.waiting import eventually

ELECTION_TIMEOUT_MS = 1500
OPLOG_MB = 990  # the least that can be asked for; it takes no room before it is written


class Node:
    """One mongod. Its process, a session of its own, ends with the thread that started it."""

    def __init__(self, program: mongod.Mongod, folder: Path) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._log = folder / f"mongod-{self.port}.log"
        self._part = mongod.part(
            program, folder / f"mongod-{self.port}", port=self.port, environ=os.environ, test_commands=True
        )
        self._process: subprocess.Popen[bytes] | None = None
        # Without a pool: a stale connection would cost the first command after each restart.
        self.client = MongoClient[Any](self.host, directConnection=True, serverSelectionTimeoutMS=2000, maxPoolSize=4)

    def start(self) -> None:
        """Start, and return once it answers."""
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self._part.command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=dict(self._part.env), stdout=log, stderr=log, start_new_session=True
            )
        eventually(lambda: self.hello() is not None, limit_s=60)

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hello(self) -> dict[str, Any] | None:
        """What it says of itself; None while it does not answer."""
        with suppress(PyMongoError):
            return dict(self.client.admin.command("hello"))
        return None

    def is_primary(self) -> bool:
        return bool((self.hello() or {}).get("isWritablePrimary"))

    def is_member(self) -> bool:
        hello = self.hello() or {}
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))


class ReplicaSet:
    def __init__(self, folder: Path) -> None:
        program = mongod.find(os.environ, links=folder / "lib")
        self.nodes = [Node(program, folder) for _ in range(3)]
        hosts = ",".join(node.host for node in self.nodes)
        self.uri = f"mongodb://{hosts}/?replicaSet={mongod.REPLICA_SET}"

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self._initiate()
            eventually(self.is_whole, limit_s=60)
            for node in self.nodes:
                node.client.admin.command({"replSetResizeOplog": 1, "size": float(OPLOG_MB)})
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.client.close()
            node.kill()

    def primary(self) -> Node:
        """The node that is the primary, as soon as there is one."""
        return eventually(lambda: next(filter(Node.is_primary, self.nodes), None), limit_s=60)  # type: ignore[return-value]

    def is_whole(self) -> bool:
        """Whether there is a primary and every node is a member in good order."""
        return all(map(Node.is_member, self.nodes)) and any(map(Node.is_primary, self.nodes))

    def step_down(self) -> None:
        with suppress(AutoReconnect, NotPrimaryError):
            self.primary().client.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5, force=True)

    def _initiate(self) -> None:
        members = [{"_id": number, "host": node.host} for number, node in enumerate(self.nodes)]
        settings = {"electionTimeoutMillis": ELECTION_TIMEOUT_MS, "heartbeatIntervalMillis": 500}
        config = {"_id": mongod.REPLICA_SET, "members": members, "settings": settings}
        self.nodes[0].client.admin.command("replSetInitiate", config)


@contextmanager
def failing(node: Node, commands: Sequence[str], *, app_name: str, times: int, **how: Any) -> Iterator[None]:
    """Let a node fail so many of these commands of clients of this app name, at the latest until the block ends."""
    data = {"failCommands": list(commands), "appName": app_name, **how}
    node.client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
    try:
        yield
    finally:
        with suppress(PyMongoError):
            node.client.admin.command("configureFailPoint", "failCommand", mode="off")


def times_failed(node: Node) -> int:
    """How often the fail point has been met; -1 while the node does not answer."""
    with suppress(PyMongoError):
        answer = node.client.admin.command({"getParameter": 1, "failpoint.failCommand": 1})
        return int(answer["failpoint.failCommand"]["timesEntered"])
    return -1


def change_streams(node: Node, *, app_name: str) -> list[tuple[str, str, int]]:
    """The open change streams of clients of this app name: database, collection and cursor id."""
    pipeline: list[dict[str, Any]] = [
        {"$currentOp": {"allUsers": True, "idleCursors": True}},
        {"$match": {"appName": app_name}},
    ]
    found = []
    for operation in node.client.admin.aggregate(pipeline):
        cursor = operation.get("cursor") or {}
        first = (cursor.get("originatingCommand", {}).get("pipeline") or [{}])[0]
        if "$changeStream" in first:
            database, _, collection = operation["ns"].partition(".")
            found.append((database, collection, cursor["cursorId"]))
    return found


def cut(node: Node, streams: list[tuple[str, str, int]]) -> None:
    """Kill cursors; one that has gone by itself is no error."""
    for database, collection, cursor in streams:
        with suppress(OperationFailure):
            node.client[database].command("killCursors", collection, cursors=[cursor])
