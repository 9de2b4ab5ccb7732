"""Documents that several coroutines ask for at the same time, read by one query."""

from __future__ import annotations

import asyncio

from pymongo.asynchronous.collection import AsyncCollection

from studio.records import Document

Key = tuple[str, str]
"""The id of a document and of its owner."""


class Gathering:
    """Reads documents by id and owner, each for whoever asked for it.

    The first question is asked at once; those that come while it is under way are gathered and asked together. So
    nobody waits for others to come, and the more is asked of a process, the less a question costs: most of a read by id
    is the driver's work for a query, however many ids that has.
    """

    def __init__(self, collection: AsyncCollection[Document]) -> None:
        self._collection = collection
        self._waiting: dict[Key, asyncio.Future[Document | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def get(self, document_id: str, owner: str) -> Document | None:
        """The document as it is now or a moment later, not to be changed; None when the owner has no such one."""
        # What is no text fails here, and not with the questions of all the others.
        document_id.encode()
        key = (document_id, owner)
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        # Shielded: one who leaves must not take the answer away from others who asked the same.
        return await asyncio.shield(answer)

    async def _read(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                await self._answer(waiting)
        finally:
            self._reading = None

    async def _answer(self, waiting: dict[Key, asyncio.Future[Document | None]]) -> None:
        try:
            ids, owners = ([*{*named}] for named in zip(*waiting, strict=True))
            found = await self._collection.find({"_id": {"$in": ids}, "owner": {"$in": owners}}).to_list()
        except Exception as error:  # noqa: BLE001 (whoever asked gets it)
            for answer in waiting.values():
                answer.set_exception(error)
                # All who asked may have left by now, and the loop would write down what nobody has looked at.
                answer.exception()
            return
        documents = {(document["_id"], document["owner"]): document for document in found}
        for key, answer in waiting.items():
            answer.set_result(documents.get(key))
