"""Fail points: mongod fails what it is told to fail, for clients of one app name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pymongo import MongoClient

FailCommand = Callable[..., AbstractContextManager[None]]
FAULTY = {"appname": "faulty", "heartbeatFrequencyMS": 500}
"""Client options that make a client meet the faults. After some of them it waits for a heartbeat, usually 10 s."""


@contextmanager
def fail_command(
    mongo: MongoClient[Any], commands: Sequence[str], *, times: int | None = None, **how: Any
) -> Iterator[None]:
    """`how` is an `errorCode`, `closeConnection=True` or a `writeConcernError`."""
    mode = "alwaysOn" if times is None else {"times": times}
    data = {"failCommands": list(commands), "appName": FAULTY["appname"], **how}
    mongo.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
    try:
        yield
    finally:
        mongo.admin.command("configureFailPoint", "failCommand", mode="off")
