"""How often somebody has called lately: counters in the database, the same for all web processes.

A counter is one document and one window. The window begins with the first call after the window before has ended, on
the server's clock, so that web processes whose clocks differ agree on it.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.write_concern import WriteConcern

from studio.reads import Loops

COLLECTION = "request_counters"
INDEXES = [IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0)]

# A count that a failing server forgets lets somebody call a little more often; it is not worth waiting for.
_FAST = WriteConcern(w=1)
_IS_OPEN = {"$gt": ["$expires_at", "$$NOW"]}


class RequestCounter(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "_id"}):
    id: str
    """What is counted, how many seconds its windows have, and a hash of who calls, which is another one tomorrow."""
    count: int
    """Calls in the window."""
    expires_at: datetime
    """The window's end."""


class Window(NamedTuple):
    """A counter after a call was counted."""

    calls: int
    """This one included."""
    left_s: float
    """Until it ends."""


class RequestCounters:
    def __init__(self, loops: Loops) -> None:
        self._loops = loops

    async def count(self, what: str, who: str, *, window_s: int) -> Window:
        """Count one call, atomically. `who` should be a hash: it is stored, until the window has ended."""
        ends = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": window_s}}
        counter = await self._loops.database.get_collection(COLLECTION, write_concern=_FAST).find_one_and_update(
            {"_id": f"{what} {window_s} {who}"},
            [
                {
                    "$set": {
                        "count": {"$cond": [_IS_OPEN, {"$add": ["$count", 1]}, 1]},
                        "expires_at": {"$cond": [_IS_OPEN, "$expires_at", ends]},
                    }
                }
            ],
            projection={"count": 1, "left_ms": {"$subtract": ["$expires_at", "$$NOW"]}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert counter is not None  # noqa: S101 (an upsert that returns the document after it returns one)
        return Window(counter["count"], counter["left_ms"] / 1000)
