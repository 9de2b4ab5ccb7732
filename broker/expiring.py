"""A collection whose documents end at a time of their own, and how to wait for something to appear in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from broker.transaction import DURABLE

T = TypeVar("T")

IS_ALIVE: dict[str, Any] = {"$gt": ["$expire_at", "$$NOW"]}
"""Whether a document counts, as an expression. The TTL monitor removes those that do not, a minute later or so."""
SHORTEST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.25


class Expiring:
    """Opens a collection of documents with an `expire_at`; the server removes them some time after it.

    Reads go to the primary, whatever the client was told, and writes to a majority: a counter or a result that a
    failover takes back would let one too many in, or leave somebody waiting for ever.
    """

    def __init__(self, database: Database[Any], name: str) -> None:
        self.collection = database.get_collection(
            name,
            codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
            write_concern=DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        self._is_indexed = False
        self._indexing = Lock()

    def ensure_index(self) -> None:
        """Make the index that removes what has ended, once; not inside a transaction. Raises the driver's errors."""
        with self._indexing:
            if not self._is_indexed:
                self.collection.create_index([("expire_at", ASCENDING)], name="expiry", expireAfterSeconds=0)
                self._is_indexed = True


def look_until_found(look: Callable[[], T | None], *, timeout_s: float) -> T | None:
    """What `look` finds, as soon as it finds something; None when nothing was found by the end of the timeout.

    Looks at least once, and once more at the end.
    """
    began = time.monotonic()
    while (found := look()) is None:
        waited_s = time.monotonic() - began
        if waited_s >= timeout_s:
            return None
        # A tenth of the time waited so far: whoever waits learns of it at most a tenth late, and a long wait costs
        # four looks by _id a second. A change stream would be no faster (it tells what a majority has), cannot be had
        # without a replica set, and costs the server a cursor for each who waits. Short sleeps also let Dramatiq's
        # time limits and shutdowns interrupt an actor that waits, which a blocking call to a server would not.
        pause_s = min(max(waited_s / 10, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        time.sleep(min(pause_s, timeout_s - waited_s))
    return found
