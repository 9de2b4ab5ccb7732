"""The product as `make run` starts it: files go through the web server, so that a page may send them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from app.stack import Servers
from app.stack.ports import free_port
from tests.product import Product, product_on, serving


@pytest.fixture(scope="session")
def product(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3_FRONT", "1")
        patch.setenv("S3_PUBLIC_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        with product_on(servers, tmp_path_factory.mktemp("fake-service")) as wired:
            yield wired


@pytest.fixture(scope="session")
def web(product: Product) -> Iterator[str]:
    with serving(product.app, port=urlsplit(product.studio.settings.s3_public_endpoint).port) as url:
        yield url
