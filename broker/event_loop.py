"""A cure for Dramatiq 1.18, whose worker thread spins for ever when a coroutine raises TimeoutError."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from dramatiq.asyncio import EventLoopThread, get_event_loop_thread


class PatientEventLoopThread(EventLoopThread):
    """Hands a coroutine's own TimeoutError on, instead of taking it for that of its wait and waiting again.

    From Python 3.11 on they are the same class: https://github.com/Bogdanp/dramatiq/issues/791, mended in Dramatiq 2.
    """

    def run_coroutine(self, coro: Awaitable[Any]) -> Any:
        """Run a coroutine on the event loop and wait for it. Raises what it raises."""

        async def caught() -> tuple[Any, TimeoutError | None]:
            try:
                return await coro, None
            except TimeoutError as error:
                return None, error

        result, error = super().run_coroutine(caught())
        if error:
            raise error
        return result


def cure_event_loop() -> None:
    """Have the event loop of Dramatiq's AsyncIO middleware, if it is in use, behave so."""
    thread = get_event_loop_thread()
    if type(thread) is EventLoopThread:
        # It runs already, and everybody holds it.
        thread.__class__ = PatientEventLoopThread
