from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app import server
from app.server import Ended, run
from app.stack.ports import free_port
from tests.product import serving


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """An answer that does not end by itself."""
    if scope["type"] == "lifespan":
        for answer in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await receive()
            await send({"type": answer})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    await asyncio.Event().wait()


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """An application that does not start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "there is nothing here"})


def test_a_stream_that_does_not_end_is_cut_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.1)
    with httpx.Client(timeout=60) as browser, serving(endless) as url:
        # Left open: the server would wait for it for ever.
        answer = browser.send(browser.build_request("GET", url), stream=True)
        assert next(answer.iter_raw()) == b"begun"
    answer.close()


def test_an_application_that_does_not_start_is_no_server() -> None:
    with pytest.raises(Ended):
        run(broken, host="127.0.0.1", port=free_port(), started=lambda _stop: None)
