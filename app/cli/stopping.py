"""Stopping a stack when the terminal or the system asks for it."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from app.stack import Stack

# SIGHUP: the terminal was closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def asked_to_stop(stack: Stack) -> asyncio.Future[signal.Signals]:
    """Done at the first signal to stop, with that signal; the next ones make haste."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[signal.Signals] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        if asked.done():
            stack.hurry()
        else:
            asked.set_result(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, ask, number)
    return asked


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Return once one of them is done."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def started(stack: Stack, *, unless: asyncio.Future[signal.Signals]) -> bool:
    """Start the stack; False, and nothing is running, when the future was done before. Raises StackError."""
    starting = asyncio.create_task(stack.start())
    await first_of(starting, unless)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if starting.cancelled():
        return False
    await starting
    return True
