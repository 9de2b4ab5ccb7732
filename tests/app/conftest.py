"""One client's connection as it is, and what the deployment keeps of that client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from app.client import Client
from app.stack import Servers
from tests.app.traces import Traces
from tests.product import Product


@pytest.fixture
def http(client: Client, product: Product) -> Iterator[httpx.Client]:
    """The connection of `client`, for answers as they come: `Client` itself raises problems."""
    yield client._api
    product.forget()


@pytest.fixture
def traces(http: httpx.Client, servers: Servers, product: Product) -> Traces:
    """What is stored of `client`."""
    return Traces(http.headers["x-client-id"], servers, product)
