"""Waiting for something to be so. Each of these waits forever: the caller sets the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

POLL_S = 0.02


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds."""
    while not await holds():  # noqa: ASYNC110 - what other processes do sets no event of ours
        await asyncio.sleep(POLL_S)


async def accepting(port: int, host: str = "127.0.0.1") -> None:
    """Return once a server accepts connections on the port."""

    async def accepts() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return False
        writer.close()
        return True

    await until(accepts)


async def answering_http(port: int, host: str = "127.0.0.1") -> None:
    """Return once a server gives an HTTP answer, whatever its status."""

    async def answers() -> bool:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/")
            finally:
                writer.close()
        except OSError:
            return False

    await until(answers)
