"""How far walks through everything have come that take many runs. A walk that breaks off is taken up where it was."""

from __future__ import annotations

import re

import msgspec

from studio.records import Documents


class Walk(msgspec.Struct, frozen=True, kw_only=True, rename={"name": "_id"}):
    name: str
    after: str
    """The last key or id that was looked at; empty at the beginning."""


class Walks:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def position(self, name: str) -> str:
        document = self._collection.find_one({"_id": name})
        return msgspec.convert(document, Walk).after if document else ""

    def move(self, name: str, after: str | None) -> None:
        """Note how far it is; None when it has come to the end, and begins anew the next time."""
        self._collection.update_one({"_id": name}, {"$set": {"after": after or ""}}, upsert=True)

    def leave(self, prefix: str) -> None:
        """Let those begin anew that have come to a key which begins like this."""
        self._collection.update_many({"after": re.compile(f"^{re.escape(prefix)}")}, {"$set": {"after": ""}})
