"""What tests of actors share: looking at what is kept of a client, and one worker for many films."""

from __future__ import annotations

from collections.abc import Iterator

import dramatiq
import pytest

from tests.app.conftest import http, traces
from tests.product import Product

__all__ = ["http", "traces"]


@pytest.fixture(scope="module")
def crew(product: Product) -> Iterator[None]:
    """One worker for all cases of a file: each would spend more time on starting its own than on its film."""
    running = dramatiq.Worker(product.broker, worker_threads=2, worker_timeout=100)
    running.start()
    yield
    running.stop()
