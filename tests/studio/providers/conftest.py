"""Providers keep their connections as long as a worker lives, which is longer than a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections that a test has opened: one that is only forgotten is a warning."""
    with ExitStack() as opened:

        class Closed(httpx.Client):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                opened.callback(self.close)

        monkeypatch.setattr(httpx, "Client", Closed)
        yield
