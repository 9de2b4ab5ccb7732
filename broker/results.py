"""A result backend on MongoDB: what actors return or raise, kept until somebody asks or its time is over.

Results live in a collection of their own, so they neither depend on nor slow down the queues:

    _id         the message key
    result      what the encoder made of the result, as bytes
    expire_at   when it ends, on the server's clock
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dramatiq.encoder import Encoder
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.message import Message
from dramatiq.results import ResultError, ResultMissing, ResultTimeout
from dramatiq.results.backend import DEFAULT_TIMEOUT, Missing
from dramatiq.results.middleware import DEFAULT_RESULT_TTL
from dramatiq.results.result import wrap_exception, wrap_result
from dramatiq_mongodb import MongoDBBackend
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from broker import documents
from broker.delivery import Delivery, current_delivery
from broker.errors import driver_errors
from broker.expiring import IS_ALIVE, Expiring, look_until_found

DEFAULT_NAMESPACE = "dramatiq-results"
LARGEST_RESULT = 15 * 1024 * 1024
"""In bytes, encoded. MongoDB refuses documents over 16 MiB."""


class ResultTooLarge(ResultError):
    """A result takes more than LARGEST_RESULT bytes. Nothing was stored."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call]


class MongoResultBackend(MongoDBBackend):  # type: ignore[misc]
    """Stores results in MongoDB, for Dramatiq's Results middleware.

    It stores what the encoder can encode, up to 15 MiB, and takes the place of an earlier result of the same message.
    A result is safe on a majority once stored. One that middleware stores at the end of a run is stored by the ack of
    the message: both are there or neither is, and a worker that lost its lease overwrites nothing.

    Parameters:
      database: where results live, in the collection `{prefix}dramatiq_results`. Its client is not opened before the
        first use, so it may be made before a fork. With the broker's own client a result commits with its message's
        ack; with another one it is stored just before.
      collection_prefix: put before the name of the collection, followed by "_"; the broker's.
      namespace: results of one namespace are not seen from another; None means Dramatiq's default.
      encoder: None means the one that is set by `dramatiq.set_encoder`, by default JSON.
    """

    def __init__(
        self,
        *,
        database: Database[Any],
        collection_prefix: str = "",
        namespace: str | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__(database=database, collection_prefix=collection_prefix, namespace=namespace, encoder=encoder)
        self._results = Expiring(database, f"{self._collection_prefix}dramatiq_results")

    def build_message_key(self, message: Message[Any]) -> str:
        """The message id; outside the default namespace, with the namespace before it."""
        message_id: str = message.message_id
        return message_id if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}:{message_id}"

    def get_collection(self, message: Message[Any]) -> Collection[Any]:
        """The collection that holds the result of this message: one for all."""
        return self._results.collection

    def get_result(self, message: Message[Any], *, block: bool = False, timeout: int | None = None) -> Any:
        """The result of a message. With `block`, waits for it up to `timeout` milliseconds, by default 10,000.

        Raises ResultMissing when it is not there (never was, or has expired), ResultTimeout when it did not come in
        time, ResultFailure when the actor failed for good, and ConnectionError. A database that is away is waited for
        as long as its client is told to, whatever the timeout.
        """
        key = self.build_message_key(message)
        if not block:
            result = self._get(key)
            if result is Missing:
                raise ResultMissing(message)
            return self.unwrap_result(result)
        timeout_s = (DEFAULT_TIMEOUT if timeout is None else timeout) / 1000
        with driver_errors():
            document = look_until_found(lambda: self._find(key), timeout_s=timeout_s)
        if document is None:
            raise ResultTimeout(message)
        return self.unwrap_result(self.encoder.decode(document["result"]))

    def store_result(self, message: Message[Any], result: Any, ttl: int | None) -> None:
        """Store what an actor returned, for `ttl` milliseconds; None means Dramatiq's ten minutes.

        Raises the encoder's error when it cannot encode the result, ResultTooLarge, and ConnectionError; and, when
        the result is stored by an ack, nothing later: that is repeated until the database takes it.
        """
        if not _is_disowned(message):
            self._store(self.build_message_key(message), wrap_result(result), ttl)

    def store_exception(self, message: Message[Any], exception: BaseException, ttl: int | None) -> None:
        """Store that an actor failed, by the type and the words of its error. Otherwise like `store_result`."""
        if not _is_disowned(message):
            self._store(self.build_message_key(message), wrap_exception(exception), ttl)

    def _get(self, message_key: str) -> Any:
        with driver_errors():
            document = self._find(message_key)
        return self.encoder.decode(document["result"]) if document else Missing

    def _find(self, message_key: str) -> documents.Document | None:
        return self._results.collection.find_one({"_id": message_key, "$expr": IS_ALIVE}, {"result": 1})

    def _store(self, message_key: str, result: Any, ttl: int | None) -> None:
        encoded = self.encoder.encode(result)
        # Told here and not by the server: an ack that this result has joined would be refused with it.
        if len(encoded) > LARGEST_RESULT:
            raise ResultTooLarge(f"a result of {len(encoded)} bytes; {LARGEST_RESULT} can be stored")
        keep_ms = DEFAULT_RESULT_TTL if ttl is None else ttl
        update = [{"$set": {"result": {"$literal": encoded}, "expire_at": documents.after(keep_ms)}}]

        def write(session: ClientSession | None) -> None:
            self._results.collection.update_one({"_id": message_key}, update, upsert=True, session=session)

        delivery = current_delivery()
        # After its ack or nack no delivery is current: the error of a dead letter is written at once, when it is one.
        if delivery and delivery.is_disowned:
            return
        # A transaction belongs to one client; results that have another are stored before the ack. So are those of a
        # group's members: they are counted before their acks, and its callback may ask for all results.
        joins = delivery and delivery.is_over and delivery.broker.database.client is self.database.client
        if delivery and joins and "group_completion_uuid" not in delivery.options:
            # Not in the ack's transaction, which could not use the collection then; the next result brings it too.
            with suppress(BrokerConnectionError):
                self._ensure_index()
            delivery.join_ack(write)
        else:
            self._ensure_index()
            with driver_errors():
                write(None)

    def _ensure_index(self) -> None:
        with driver_errors():
            self._results.ensure_index()


def _is_disowned(message: Message[Any] | Delivery) -> bool:
    """Whether the result is that of a delivery whose message belongs to another worker by now."""
    return isinstance(message, Delivery) and message.is_disowned
