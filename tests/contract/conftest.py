from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

import pytest

from tests.providers.simulator import Simulator

S = TypeVar("S", bound=Simulator)


@pytest.fixture
def started() -> Iterator[Callable[[S], S]]:
    """Start a simulator for as long as a test lasts."""
    with ExitStack() as stack:

        def start(simulator: S) -> S:
            stack.enter_context(simulator.running())
            return simulator

        yield start


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own keys and proxies."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RUNWAYML_API_SECRET", "DASHSCOPE_API_KEY", "ARK_API_KEY",
                 "FAL_KEY", "OLLAMA_HOST"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
