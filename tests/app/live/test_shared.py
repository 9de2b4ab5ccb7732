from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from app.live.shared import Shared


def test_who_asks_the_same_thing_meanwhile_gets_the_same_answer() -> None:
    async def scenario() -> None:
        asked = 0
        answered = asyncio.Event()

        async def ask() -> int:
            nonlocal asked
            asked = number = asked + 1
            await answered.wait()
            return number

        shared = Shared()
        waiting = [asyncio.create_task(shared.answer("question", ask)) for _ in range(3)]
        other = asyncio.create_task(shared.answer("another question", ask))
        await asyncio.sleep(0)
        answered.set()
        assert await asyncio.gather(*waiting, other) == [1, 1, 1, 2]
        assert await shared.answer("question", ask) == 3

    asyncio.run(scenario())


def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    async def scenario() -> None:
        answered = asyncio.Event()

        async def ask() -> str:
            await answered.wait()
            return "yes"

        shared = Shared()
        first, second = (asyncio.create_task(shared.answer("question", ask)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        answered.set()
        assert await second == "yes"

    asyncio.run(scenario())


def test_an_error_is_everybodys_and_the_next_question_is_asked_anew() -> None:
    async def scenario() -> None:
        async def fail() -> str:
            raise ConnectionError

        async def succeed() -> str:
            return "yes"

        shared = Shared()
        waiting = [asyncio.create_task(shared.answer("question", fail)) for _ in range(2)]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in found] == [ConnectionError, ConnectionError]
        assert await shared.answer("question", succeed) == "yes"
        with pytest.raises(ConnectionError):
            await shared.answer("question", fail)

    asyncio.run(scenario())
