"""Asking once for what several want to know at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Shared:
    """Questions under way. Who asks the same thing meanwhile waits for the same answer, or the same error."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def answer(self, question: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = self._under_way.get(question)
        if task is None:
            task = self._under_way[question] = asyncio.create_task(ask())
            task.add_done_callback(lambda done: self._finish(question, done))
        # Shielded: one who leaves must not take the answer away from the others.
        return cast("T", await asyncio.shield(task))

    def _finish(self, question: Hashable, done: asyncio.Task[Any]) -> None:
        del self._under_way[question]
        if not done.cancelled():
            # Looked at here, because whoever asked may have left.
            done.exception()
