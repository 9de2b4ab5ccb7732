"""Reads that are described once: a thread runs them with `now()`, a coroutine awaits them.

A web process answers most calls by reading, and a coroutine does that at half the price of a thread. Actors and the
functions that change things run in threads, and read the same documents. So a repository's read says what it wants, and
whoever asked chooses how to wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.client_session import ClientSession

from studio.gathering import Gathering
from studio.records import Document, Documents, Identified, from_document

T = TypeVar("T")
R = TypeVar("R", bound=Identified)
Order = Sequence[tuple[str, int]]
Collections = dict[str, AsyncCollection[Document]]
Gatherings = dict[str, Gathering]


class Loops:
    """The database as coroutines reach it. The driver's client belongs to one event loop, so each loop has its own."""

    def __init__(self, connect: Callable[[], AsyncDatabase[Document]]) -> None:
        self._connect = connect
        self._databases: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncDatabase[Document]] = WeakKeyDictionary()
        self._collections: WeakKeyDictionary[asyncio.AbstractEventLoop, Collections] = WeakKeyDictionary()
        self._gatherings: WeakKeyDictionary[asyncio.AbstractEventLoop, Gatherings] = WeakKeyDictionary()

    @property
    def client(self) -> AsyncMongoClient[Document]:
        return self.database.client

    @property
    def database(self) -> AsyncDatabase[Document]:
        """The database for the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._databases:
            self._databases[loop] = self._connect()
        return self._databases[loop]

    def collection(self, collection: Documents) -> AsyncCollection[Document]:
        """What the running event loop reads in place of a collection, with the same read concern."""
        known = self._collections.setdefault(asyncio.get_running_loop(), {})
        found = known.get(collection.name)
        if found is None:
            # To make one costs a tenth of what a read costs.
            found = self.database.get_collection(collection.name, read_concern=collection.read_concern)
            known[collection.name] = found
        return found

    def gathering(self, collection: Documents) -> Gathering:
        """What reads documents of a collection by their ids."""
        known = self._gatherings.setdefault(asyncio.get_running_loop(), {})
        found = known.get(collection.name)
        if found is None:
            found = known[collection.name] = Gathering(self.collection(collection))
        return found

    async def close(self) -> None:
        """Close what the running event loop has opened; a later read opens it again."""
        loop = asyncio.get_running_loop()
        self._collections.pop(loop, None)
        self._gatherings.pop(loop, None)
        database = self._databases.pop(loop, None)
        if database is not None:
            await database.client.close()


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A query and what its documents become."""

    collection: Documents
    loops: Loops
    query: Document
    become: Callable[[list[Document]], T]
    sort: Order | None = None
    skip: int = 0
    limit: int = 0
    fields: Document | None = None

    def now(self, *, session: ClientSession | None = None) -> T:
        """Run it in this thread, as part of a transaction if one is given."""
        return self.become(self.collection.find(self.query, **self._options, session=session).to_list())

    def __await__(self) -> Generator[Any, None, T]:
        return self._soon().__await__()

    async def _soon(self) -> T:
        found = self.loops.collection(self.collection).find(self.query, **self._options)
        return self.become(await found.to_list())

    @property
    def _options(self) -> dict[str, Any]:
        return {"projection": self.fields, "sort": self.sort, "skip": self.skip, "limit": self.limit}


@dataclass(frozen=True, slots=True)
class OwnedRead(Read[T]):
    """The read of one document by its id and owner, which coroutines share a query for."""

    async def _soon(self) -> T:
        document = await self.loops.gathering(self.collection).get(self.query["_id"], self.query["owner"])
        return self.become([document] if document else [])


class Reads(Generic[R]):
    """The reads of one collection, whose documents are records of one kind."""

    def __init__(self, collection: Documents, loops: Loops, kind: type[R]) -> None:
        self._collection = collection
        self._loops = loops
        self._kind = kind

    def one(self, query: Document, *, sort: Order | None = None, skip: int = 0) -> Read[R | None]:
        """The first document, or the one after `skip` others, or None."""
        return self._read(query, partial(_first, self._kind), sort=sort, skip=skip, limit=-1)

    def owned(self, owner: str, document_id: str) -> Read[R | None]:
        """The document with this id, if it is the owner's."""
        query: Document = {"_id": document_id, "owner": owner}
        return OwnedRead(self._collection, self._loops, query, partial(_first, self._kind), limit=-1)

    def many(
        self, query: Document, *, sort: Order | None = None, limit: int = 0, fields: Document | None = None
    ) -> Read[list[R]]:
        """All documents, or the first `limit` of them."""
        return self._read(query, partial(_each, self._kind), sort=sort, limit=limit, fields=fields)

    def by_id(self, query: Document, *, fields: Document | None = None) -> Read[dict[str, R]]:
        """All documents, each under its id."""
        return self._read(query, partial(_by_id, self._kind), fields=fields)

    def _read(self, query: Document, become: Callable[[list[Document]], T], **options: Any) -> Read[T]:
        return Read(self._collection, self._loops, query, become, **options)


def _first(kind: type[R], documents: list[Document]) -> R | None:
    return from_document(documents[0], kind) if documents else None


def _each(kind: type[R], documents: list[Document]) -> list[R]:
    return msgspec.convert(documents, list[kind])  # type: ignore[valid-type]  # a variable names the records


def _by_id(kind: type[R], documents: list[Document]) -> dict[str, R]:
    return {record.id: record for record in _each(kind, documents)}
