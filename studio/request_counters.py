"""How often somebody has called lately: counters in the database, the same for all web processes.

A counter is one document and one window. The window begins with the first call after the window before has ended, on
the server's clock, so that web processes whose clocks differ agree on it. A call costs one command, whatever it is
counted on; a call too many costs one more, and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from pymongo import ASCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError
from pymongo.write_concern import WriteConcern

from studio.indexes import Index
from studio.reads import Loops
from studio.records import Document

COLLECTION = "request_counters"
INDEXES = [
    Index([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0, why="A window that is over counts nothing.")
]

# A count that a failing server forgets lets somebody call a little more often; it is not worth waiting for.
_FAST = WriteConcern(w=1)
_IS_OPEN: Document = {"$gt": ["$expires_at", "$$NOW"]}
# No id is a number. The server stops a command at its first error, and an upsert can be refused in no other way.
_REFUSED: Document = {"$toInt": "$_id"}
_CONVERSION_FAILURE = 241


class RequestCounter(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "_id"}):
    id: str
    """What is counted, how many seconds its windows have, and a hash of who calls, which is another one tomorrow."""
    count: int
    """Calls in the window."""
    expires_at: datetime
    """The window's end."""


class Limit(NamedTuple):
    calls: int
    """In one window."""
    window_s: int


class Counted(NamedTuple):
    """One counter that a call is counted on."""

    what: str
    who: str
    """A hash: it is stored until the window has ended."""
    limit: Limit

    @property
    def id(self) -> str:
        return f"{self.what} {self.limit.window_s} {self.who}"


class RequestCounters:
    def __init__(self, loops: Loops) -> None:
        self._loops = loops

    async def count(self, counters: Sequence[Counted]) -> int:
        """Count one call on each, in order, up to the first that is full: nothing is counted on that and what follows.

        Returns 0, or the seconds until the window of the full one ends.
        """
        try:
            await self._collection.bulk_write([_counting(counted) for counted in counters], ordered=True)
        except BulkWriteError as error:
            # An answer may also say that nobody can promise to keep what was counted.
            for failure in error.details["writeErrors"]:
                if failure["code"] == _CONVERSION_FAILURE:
                    return await self._seconds_left(counters[failure["index"]])
            raise
        return 0

    async def _seconds_left(self, full: Counted) -> int:
        left_ms = {"$subtract": ["$expires_at", "$$NOW"]}
        found = await self._collection.find_one({"_id": full.id}, {"left_ms": left_ms})
        # It may have ended since.
        return max(1, math.ceil(found["left_ms"] / 1000)) if found else 1

    @property
    def _collection(self) -> AsyncCollection[Document]:
        return self._loops.database.get_collection(COLLECTION, write_concern=_FAST)


def _counting(counted: Counted) -> UpdateOne:
    calls, window_s = counted.limit
    more = {"$cond": [{"$lt": ["$count", calls]}, {"$add": ["$count", 1]}, _REFUSED]}
    ends = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": window_s}}
    window = {
        "count": {"$cond": [_IS_OPEN, more, 1]},
        "expires_at": {"$cond": [_IS_OPEN, "$expires_at", ends]},
    }
    return UpdateOne({"_id": counted.id}, [{"$set": window}], upsert=True)
