"""What can go wrong in the queue, and where the driver's errors become Dramatiq's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dramatiq.errors import BrokerError, ConnectionClosed
from dramatiq.middleware import Interrupt, MiddlewareError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)


class QueueError(BrokerError):
    """Any of the errors below that are the queue's own."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class LeaseLost(QueueError):
    """This delivery is no longer ours: its lease ran out, or it was settled before. Nothing was changed."""


class Unreadable(QueueError):
    """A document in a queue's collection is no message that could be run."""


class MessageTooLarge(QueueError):
    """A message takes more than 15 MiB of JSON. Nothing was stored; send a reference to the data instead."""


class InvalidUniqueKey(QueueError, MiddlewareError):
    """A `unique_key` is no string, empty, longer than 512 characters, or cannot be made. Nothing was stored."""

    # A middleware error because Dramatiq lets no other one out of a hook.


class NoTransactions(QueueError):
    """MongoDB runs without a replica set, and has no transactions then. Nothing was stored."""


class Canceled(Interrupt):
    """Raised inside an actor whose message somebody asked to stop. It is neither retried nor a dead letter."""


_PASSING_LABELS = ("RetryableWriteError", "TransientTransactionError")
# From the server's list of error codes (src/mongo/base/error_codes.yml, 6.0). The driver labels only some of them, and
# none that comes inside a bulk answer.
_NO_PRIMARY = {91, 189, 10058, 10107, 11600, 11602, 13435, 13436}
_NO_WAY_TO_IT = {6, 7, 89, 9001}
# Somebody or a time limit ended the operation (43, 50, 237, 262, 290, 11601), or others were in its way (24, 46, 112,
# 246, 365): it says nothing about what was asked.
_CUT_SHORT = {24, 43, 46, 50, 112, 237, 246, 262, 290, 365, 11601}
_PASSING_CODES = _NO_PRIMARY | _NO_WAY_TO_IT | _CUT_SHORT


def is_passing(error: PyMongoError) -> bool:
    """Whether the database is away or changing its primary, cut the operation short, or cannot promise to keep it.

    The other errors refuse what was asked, and will again.
    """
    return (
        isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError)
        or any(error.has_error_label(label) for label in _PASSING_LABELS)
        or (isinstance(error, BulkWriteError) and bool((error.details or {}).get("writeConcernErrors")))
        or bool(_codes(error) & _PASSING_CODES)
    )


def _codes(error: PyMongoError) -> set[int]:
    if isinstance(error, BulkWriteError):
        return {failure["code"] for failure in (error.details or {}).get("writeErrors", [])}
    return {error.code} if isinstance(error, OperationFailure) and error.code else set()


@contextmanager
def driver_errors() -> Iterator[None]:
    """Turn the driver's connection failures into the one that Dramatiq's workers wait and retry for."""
    try:
        yield
    except PyMongoError as error:
        if is_passing(error):
            raise ConnectionClosed(error) from error
        raise
