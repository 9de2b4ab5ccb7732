"""How the artworks of a client are listed: which of them, in which order, from which place on.

A list follows an index, so a page costs the same wherever it is. What no index knows, the words of a search and the
status, is looked for along the way, at no more than `SEARCH_DEPTH` artworks a page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pymongo import ASCENDING, DESCENDING

from studio.indexes import Index
from studio.records import Document

SEARCH_DEPTH = 5_000
"""So many artworks are looked through in some tens of milliseconds, and hardly a family has more."""

_SEARCHED = ("title", "description", "transcript")
# The server uses a partial index for a query that holds its very condition.
_DELETED: Document = {"deleted_at": {"$type": "date"}}
_FAVOURITE: Document = {"favourite": True}

INDEXES = [
    Index(
        [("owner", ASCENDING), ("deleted_at", DESCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
        name="gallery",
        why="A client's artworks, newest first, from any place on, without those in the bin.",
    ),
    Index(
        [("owner", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
        name="favourites",
        why="The favourites among them.",
        partialFilterExpression=_FAVOURITE,
    ),
    Index(
        [("owner", ASCENDING), ("deleted_at", DESCENDING), ("_id", DESCENDING)],
        name="bin",
        why="The bin, last deleted first.",
        partialFilterExpression=_DELETED,
    ),
]


class Place(NamedTuple):
    """Where an artwork stands in a list. It stays right while others come and go."""

    at: datetime
    artwork_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which artworks of a client are wanted; a field that is None leaves none out."""

    deleted: bool = False
    """Those in the bin, last deleted first, instead of those in the gallery, newest first."""
    favourite: bool | None = None
    status: str | None = None
    words: str | None = None
    """Literally, in any case, in the title, the typed story or the transcript."""
    since: datetime | None = None
    """When it was made, or deleted where the bin is wanted; both ends are included."""
    until: datetime | None = None

    @property
    def time(self) -> str:
        """The field that the list is ordered by."""
        return "deleted_at" if self.deleted else "created_at"

    @property
    def order(self) -> list[tuple[str, int]]:
        return [(self.time, DESCENDING), ("_id", DESCENDING)]

    @property
    def is_search(self) -> bool:
        """Whether artworks have to be looked at that may turn out not to be wanted."""
        return bool(self._sought())

    def query(self, owner: str, *, after: Place | None, down_to: Place | None = None) -> Document:
        """The wanted artworks that follow `after`, no further than `down_to`."""
        return {"$and": [*self._listed(owner, after), *_down_to(self.time, down_to), *self._sought()]}

    def walk(self, owner: str, *, after: Place | None) -> Document:
        """The artworks among which the wanted ones are, in the same order."""
        return {"$and": self._listed(owner, after)}

    def _listed(self, owner: str, after: Place | None) -> list[Document]:
        # Of a place, the bound on the time is what the index needs, and "$nor" is for the artworks of that very moment.
        # "$or" would say the same, and lead the server to two scans whose results it has to sort.
        conditions: list[Document] = [{"owner": owner}, _DELETED if self.deleted else {"deleted_at": None}]
        if self.favourite:
            conditions.append(_FAVOURITE)
        if self.since:
            conditions.append({self.time: {"$gte": self.since}})
        if self.until:
            conditions.append({self.time: {"$lte": self.until}})
        if after:
            seen = {self.time: after.at, "_id": {"$gte": after.artwork_id}}
            conditions += [{self.time: {"$lte": after.at}}, {"$nor": [seen]}]
        return conditions

    def _sought(self) -> list[Document]:
        conditions: list[Document] = []
        if self.favourite is False:
            conditions.append({"favourite": {"$ne": True}})
        if self.status:
            conditions.append({"status": self.status})
        if self.words:
            pattern = _literal(self.words)
            conditions.append({"$or": [{field: pattern} for field in _SEARCHED]})
        return conditions


def _down_to(time: str, place: Place | None) -> list[Document]:
    if place is None:
        return []
    deeper = {time: place.at, "_id": {"$lt": place.artwork_id}}
    return [{time: {"$gte": place.at}}, {"$nor": [deeper]}]


def _literal(words: str) -> Document:
    """A condition that these characters, in any case, and no others meet."""
    # The server takes no pattern that holds a NUL as it is.
    pattern = re.escape(words).replace("\0", r"\x00")
    # To ignore case makes a search twice as long, and Chinese has none.
    has_case = words.lower() != words.upper()
    return {"$regex": pattern, "$options": "i" if has_case else ""}
