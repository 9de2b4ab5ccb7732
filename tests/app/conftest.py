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
    """The connection of `client`, for answers as they come: `Client` itself raises problems.

    What was ordered and not done is forgotten afterwards, so that no worker of a later test does it: the message, and
    the job too, for which the sweep would send another one.
    """
    yield client._api
    product.studio.database["jobs"].delete_many({"live": True})
    product.broker.flush("default")


@pytest.fixture
def traces(http: httpx.Client, servers: Servers, product: Product) -> Traces:
    """What is stored of `client`."""
    return Traces(http.headers["x-client-id"], servers, product)
