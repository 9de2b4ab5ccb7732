"""Single commands to MongoDB go wrong, each exactly where it is meant to: the N-th that is made for somebody.

The driver hands every command to one function. Here that asks for whom the command is made, counts, and lets the one
that is meant meet its hiccup: the connection ends before or after the server has done it, or the server answers with an
error, with the labels that it gives such errors. What the driver repeats by itself meets the same once more, where a
hiccup comes twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo.asynchronous import command_runner as async_runner
from pymongo.synchronous import command_runner as sync_runner

Command = MutableMapping[str, Any]

INTERRUPTED, OUT_OF_TIME, CONFLICT, NO_SUCH_TRANSACTION = 11601, 262, 112, 251
# Not one of those that tell of another primary: after one that is made up, the driver would wait for that in vain.
_RETRYABLE = {OUT_OF_TIME}
_WRITES = {"insert", "update", "delete", "findAndModify"}
_ENDS = {"commitTransaction", "abortTransaction"}
# What the driver asks for its own sake, and what lasts for as long as nothing happens.
_NOT_COUNTED = {"hello", "ismaster", "ping", "endSessions", "killCursors", "getMore"}


@dataclass(frozen=True)
class Hiccup:
    """A way in which a command goes wrong."""

    name: str
    code: int = 0
    """Of the error that the server answers with; 0 where the connection ends instead."""
    is_done: bool = False
    """The server has done it all the same."""
    times: int = 1

    def suits(self, command: Command) -> bool:
        """Whether a server may treat this command so."""
        name, is_inside = next(iter(command)), _is_in_transaction(command)
        if self.code and self.is_done:
            return name == "commitTransaction" or (name in _WRITES and not is_inside)
        if self.code == CONFLICT:
            # In no transaction, the server tries again by itself.
            return is_inside and name not in _ENDS
        return self.code != NO_SUCH_TRANSACTION or name == "commitTransaction"

    def error(self, command: Command) -> dict[str, Any]:
        """What the server says instead of doing it."""
        is_end, labels = next(iter(command)) in _ENDS, []
        if self.code in {CONFLICT, NO_SUCH_TRANSACTION} or (self.code in _RETRYABLE and not is_end):
            labels = ["TransientTransactionError"] if _is_in_transaction(command) else []
        if self.code in _RETRYABLE and "txnNumber" in command and (is_end or not _is_in_transaction(command)):
            labels = ["RetryableWriteError"]
        return {"ok": 0.0, "code": self.code, "errmsg": self.name, "errorLabels": labels}


HICCUPS = (
    Hiccup("cut"),
    Hiccup("cut twice", times=2),
    Hiccup("answer lost", is_done=True),
    Hiccup("answer lost twice", is_done=True, times=2),
    Hiccup("interrupted", INTERRUPTED),
    Hiccup("interrupted when done", INTERRUPTED, is_done=True),
    Hiccup("out of time twice", OUT_OF_TIME, times=2),
    Hiccup("conflict", CONFLICT),
    Hiccup("aborted", NO_SUCH_TRANSACTION),
)


@dataclass
class Plan:
    """What is to go wrong for somebody: the first command that the hiccup suits, from a position on."""

    hiccup: Hiccup
    position: float
    """Counted from 1 on; infinity only counts."""
    seen: int = 0
    """How many commands were counted."""
    met: str = ""
    """What has gone wrong, without its content; "" when nothing has yet."""
    _left: int = 0
    _victim: tuple[int, str] = (0, "")

    def __str__(self) -> str:
        return f"{self.hiccup.name} at {self.position}: {self.met or 'never met'}"

    def takes(self, command: Command) -> bool:
        name, thread = next(iter(command)), threading.get_ident()
        what = f"{name} {command[name]}{' in a transaction' if _is_in_transaction(command) else ''}"
        if self._left and self._victim == (thread, what):
            self._left -= 1
            return True
        self.seen += 1
        if self.met or self.seen < self.position or not self.hiccup.suits(command):
            return False
        self.met, self._left, self._victim = what, self.hiccup.times - 1, (thread, what)
        return True


@dataclass
class Hiccups:
    """`whose` says for whom the calling thread makes a command; None where nobody's plan is concerned."""

    whose: Callable[[], str | None]
    plans: dict[str, Plan] = field(default_factory=dict)
    upcoming: deque[Plan] = field(default_factory=deque)
    """For those of whom nothing was seen yet, in the order in which they come."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def happening(self) -> Iterator[None]:
        run, run_async = sync_runner._run_command, async_runner._run_command

        def run_or_fail(conn: Any, command: Command, *given: Any, **named: Any) -> Any:
            if hiccup := self._hiccup_of(command):
                _disturb(conn, command, hiccup)
            return run(conn, command, *given, **named)

        async def run_or_fail_async(conn: Any, command: Command, *given: Any, **named: Any) -> Any:
            if hiccup := self._hiccup_of(command):
                _disturb_async(conn, command, hiccup)
            return await run_async(conn, command, *given, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sync_runner, "_run_command", run_or_fail)
            patch.setattr(async_runner, "_run_command", run_or_fail_async)
            yield

    def _hiccup_of(self, command: Command) -> Hiccup | None:
        is_stream = any("$changeStream" in stage for stage in command.get("pipeline", []) if isinstance(stage, dict))
        if next(iter(command)) in _NOT_COUNTED or is_stream or (who := self.whose()) is None:
            return None
        with self._lock:
            if who not in self.plans and self.upcoming:
                self.plans[who] = self.upcoming.popleft()
            plan = self.plans.get(who)
            return plan.hiccup if plan and plan.takes(command) else None


class _Answer:
    """An answer of the server, or what is made of one."""

    more_to_come = False

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def unpack_response(self, *_given: Any, **_named: Any) -> list[dict[str, Any]]:
        return [self._document]


def _disturb(conn: Any, command: Command, hiccup: Hiccup) -> None:
    """Let the next exchange of a connection go wrong, and only that."""
    send, receive = conn.send_message, conn.receive_message

    def send_or_end(*given: Any) -> None:
        del conn.send_message
        if hiccup.is_done:
            send(*given)
        elif not hiccup.code:
            conn._raise_connection_failure(OSError("the connection ended"))

    def receive_otherwise(*given: Any) -> Any:
        del conn.receive_message
        return _instead(command, hiccup, receive(*given)) if hiccup.is_done else _Answer(hiccup.error(command))

    def receive_and_end(*given: Any) -> None:
        receive(*given)
        conn._raise_connection_failure(OSError("the connection ended"))

    conn.send_message = send_or_end
    conn.receive_message = receive_otherwise if hiccup.code else receive_and_end


def _disturb_async(conn: Any, command: Command, hiccup: Hiccup) -> None:
    send, receive = conn.send_message, conn.receive_message

    async def send_or_end(*given: Any) -> None:
        del conn.send_message
        if hiccup.is_done:
            await send(*given)
        elif not hiccup.code:
            await conn._raise_connection_failure(OSError("the connection ended"))

    async def receive_otherwise(*given: Any) -> Any:
        del conn.receive_message
        return _instead(command, hiccup, await receive(*given)) if hiccup.is_done else _Answer(hiccup.error(command))

    async def receive_and_end(*given: Any) -> None:
        await receive(*given)
        await conn._raise_connection_failure(OSError("the connection ended"))

    conn.send_message = send_or_end
    conn.receive_message = receive_otherwise if hiccup.code else receive_and_end


def _instead(command: Command, hiccup: Hiccup, answer: Any) -> _Answer:
    """It was done, and nobody promises to keep it."""
    [document] = answer.unpack_response()
    return _Answer({**document, "writeConcernError": {"code": hiccup.code, "errmsg": hiccup.name}})


def _is_in_transaction(command: Command) -> bool:
    return command.get("autocommit") is False
