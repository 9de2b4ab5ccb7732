from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect

from studio.gathering import Gathering
from studio.records import Document


class Collection:
    """Holds documents, and answers when it is let to."""

    def __init__(self, *documents: Document) -> None:
        self.documents = list(documents)
        self.asked: list[set[str]] = []
        self.may_answer = asyncio.Event()
        self.fails = False

    def find(self, query: Document) -> Collection:
        self.asked.append(set(query["_id"]["$in"]))
        return self

    async def to_list(self) -> list[Document]:
        found = list(self.documents)
        await self.may_answer.wait()
        if self.fails:
            raise AutoReconnect
        return [document for document in found if document["_id"] in self.asked[-1]]


A, B, C = ({"_id": name, "owner": "one"} for name in "abc")


def play(collection: Callable[[], Collection], scenario: Callable[[Collection, Gathering], Awaitable[None]]) -> None:
    async def run() -> None:
        held = collection()
        async with asyncio.timeout(10):
            await scenario(held, Gathering(cast("AsyncCollection[Any]", held)))

    asyncio.run(run())


async def asking(gathering: Gathering, *questions: tuple[str, str]) -> list[asyncio.Task[Document | None]]:
    asked = [asyncio.create_task(gathering.get(*question)) for question in questions]
    await asyncio.sleep(0)
    return asked


def test_what_is_asked_while_a_query_is_under_way_is_read_by_the_next_one() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        first = await asking(gathering, ("a", "one"))
        await asyncio.sleep(0)
        others = await asking(gathering, ("b", "one"), ("c", "one"), ("b", "one"), ("x", "one"))
        held.may_answer.set()
        assert await asyncio.gather(*first, *others) == [A, B, C, B, None]
        assert held.asked == [{"a"}, {"b", "c", "x"}]

    play(lambda: Collection(A, B, C), scenario)


def test_a_document_is_given_to_its_owner_alone() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        held.may_answer.set()
        asked = await asking(gathering, ("a", "one"), ("a", "two"), ("b", "two"))
        assert await asyncio.gather(*asked) == [A, None, None]

    play(lambda: Collection(A, B), scenario)


def test_a_question_is_not_answered_by_what_was_read_before_it() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        before = await asking(gathering, ("a", "one"))
        await asyncio.sleep(0)
        held.documents.append(A)
        after = await asking(gathering, ("a", "one"))
        held.may_answer.set()
        assert await asyncio.gather(*before, *after) == [None, A]

    play(Collection, scenario)


def test_an_error_is_everybodys_who_asked_and_nobody_elses() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        held.fails = True
        held.may_answer.set()
        asked = await asking(gathering, ("a", "one"), ("b", "one"))
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in found] == [AutoReconnect, AutoReconnect]
        held.fails = False
        assert await gathering.get("a", "one") == A

    play(lambda: Collection(A), scenario)


def test_what_is_no_text_spoils_no_other_question() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        held.may_answer.set()
        good, bad = await asking(gathering, ("a", "one"), ("\ud800", "one"))
        with pytest.raises(UnicodeEncodeError):
            await bad
        assert await good == A

    play(lambda: Collection(A), scenario)


def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        leaving, staying = await asking(gathering, ("a", "one"), ("a", "one"))
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        held.may_answer.set()
        assert await staying == A
        assert await gathering.get("a", "one") == A

    play(lambda: Collection(A), scenario)


def test_an_error_that_nobody_waits_for_any_more_is_not_written_down(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(held: Collection, gathering: Gathering) -> None:
        held.fails = True
        (leaving,) = await asking(gathering, ("a", "one"))
        await asyncio.sleep(0)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        held.may_answer.set()
        await asyncio.sleep(0.01)
        gc.collect()

    play(Collection, scenario)
    assert not caplog.records
