"""A MongoDB transaction that `.send()` joins: what is saved and what is sent commit together or not at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from broker.errors import NoTransactions, is_passing

T = TypeVar("T")

DURABLE = WriteConcern("majority", j=True)
RETRY_FOR_S = 20.0
"""How long a commit or a conflict is tried again before its error is the caller's."""

_ILLEGAL_OPERATION = 20
_NOT_IN_A_SET = "Transaction numbers"
"""What the server says of them where it is in no set. The code alone says less."""


@dataclass
class _Transaction:
    session: ClientSession
    after_commit: list[Callable[[], None]] = field(default_factory=list)


_current: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)


session_noted: ContextVar[Callable[[bytes], None] | None] = ContextVar("session_noted", default=None)
"""Told the id of each session whose transaction begins, so that others can end it should this process die in it."""


def current_session() -> ClientSession | None:
    """The session of the transaction around the caller, or None."""
    transaction = _current.get()
    return transaction.session if transaction else None


def abandon_current() -> bool:
    """Forget the transaction that the calling thread has left open, and roll it back. Whether there was one."""
    transaction = _current.get()
    if transaction is None:
        return False
    _current.set(None)
    transaction.session.end_session()
    return True


def on_commit(callback: Callable[[], None]) -> None:
    """Call back once the transaction around the caller has committed; at once when there is none."""
    transaction = _current.get()
    if transaction is None:
        callback()
    else:
        transaction.after_commit.append(callback)


@contextmanager
def transaction(client: MongoClient[Any]) -> Iterator[ClientSession]:
    """Run the block in one transaction; every message sent inside is enqueued by its commit.

    An exception rolls everything back. A conflict with another writer surfaces as a PyMongoError labelled
    `TransientTransactionError`: a block cannot be run again from here, use `run_in_transaction` for that.

    A commit whose answer is lost, or that was cut short, is asked for again, for up to RETRY_FOR_S seconds. One that
    fails after that may have happened. Raises RuntimeError inside another transaction, and NoTransactions where MongoDB
    runs without a replica set.
    """
    if _current.get() is not None:
        raise RuntimeError("A transaction is open already; MongoDB has no nested ones.")
    with client.start_session() as session:
        session.start_transaction(
            # Not "snapshot": that lags behind this process's own claim while others write, and the message being run
            # would look as if it were somebody else's. What is read is made durable by the commit all the same.
            read_concern=ReadConcern("local"),
            write_concern=DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        if note := session_noted.get():
            note(bytes(session.session_id["id"]))
        current = _Transaction(session)
        token = _current.set(current)
        try:
            yield session
            _commit(session)
        except OperationFailure as error:
            if error.code == _ILLEGAL_OPERATION and _NOT_IN_A_SET in str(error):
                raise NoTransactions(
                    "Transactions need MongoDB to run as a replica set; one node is enough."
                ) from error
            raise
        finally:
            _current.reset(token)
    for callback in current.after_commit:
        callback()


def run_in_transaction(client: MongoClient[Any], work: Callable[[ClientSession], T]) -> T:
    """Run `work` in a transaction, again from its start whenever another writer got in between.

    `work` must do nothing that a rollback does not undo. Conflicts are met by another run for RETRY_FOR_S seconds, and
    raised after that; any other error is raised at once, as by `transaction`.
    """
    give_up_at = time.monotonic() + RETRY_FOR_S
    wait_s = 0.002
    while True:
        try:
            with transaction(client) as session:
                return work(session)
        except PyMongoError as error:
            # Where no primary was found, the driver has waited for one already.
            is_away = isinstance(error, ServerSelectionTimeoutError)
            is_transient = error.has_error_label("TransientTransactionError")
            if is_away or not is_transient or time.monotonic() > give_up_at:
                raise
        time.sleep(random.uniform(0, wait_s))  # noqa: S311 (spreads rivals apart, guards no secret)
        wait_s = min(2 * wait_s, 0.1)


def _commit(session: ClientSession) -> None:
    """Commit; when nobody can tell whether that happened, ask again.

    The server commits a transaction once, however often it is asked.
    """
    give_up_at = time.monotonic() + RETRY_FOR_S
    while True:
        try:
            return session.commit_transaction()
        except PyMongoError as error:
            if not _may_have_happened(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(random.uniform(0, 0.1))  # noqa: S311 (as above)


def _may_have_happened(error: PyMongoError) -> bool:
    # The driver has no label for a commit that somebody cut short, at whatever point of it.
    return error.has_error_label("UnknownTransactionCommitResult") or (
        is_passing(error) and not error.has_error_label("TransientTransactionError")
    )
