"""Providers keep their connections as long as a worker lives, which is longer than a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpcore
import httpx
import pytest


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the connections that a test has opened: one that is only forgotten is a warning."""
    with ExitStack() as opened:
        for module, name in ((httpx, "Client"), (httpcore, "ConnectionPool")):
            monkeypatch.setattr(module, name, _closed_with(opened, getattr(module, name)))
        yield


def _closed_with(opened: ExitStack, kind: type[Any]) -> type[Any]:
    class Closed(kind):  # type: ignore[misc]  # whichever of the two it is
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            opened.callback(self.close)

    return Closed
