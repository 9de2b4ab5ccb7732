"""The product as `make run` starts it: files go through the web server, so that a page may send them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.stack import Servers
from app.stack.ports import free_port
from tests.product import Product, product_on, serving

PORT = free_port()


@pytest.fixture(scope="session")
def product(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3_FRONT", "1")
        patch.setenv("S3_PUBLIC_ENDPOINT", f"http://127.0.0.1:{PORT}")
        with product_on(servers, tmp_path_factory.mktemp("fake-service")) as wired:
            yield wired


@pytest.fixture(scope="session")
def web(product: Product) -> Iterator[str]:
    with serving(product.app, port=PORT) as url:
        yield url
