"""Real servers for every test that needs them: one mongod and one rclone for the whole run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from PIL import Image, ImageDraw

from app.client import Client
from app.stack import Servers
from app.stack import servers as running_servers
from tests.product import Product, new_client, product_on, serving

# The processes that run tests beside each other have it set, and a console reads it only when it is made.
os.environ.pop("COLUMNS", None)
# Where a test says nothing else: a busy machine may need more than five seconds for an answer.
DEFAULT_TIMEOUT_CONFIG.read = 60.0


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No other process of this run starts a stack meanwhile: all look for their ports in the same place."""
    with (tmp_path_factory.getbasetemp().parent / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """mongod (a replica set, with fail points) and rclone. A test that kills one restarts it."""
    with running_servers(tmp_path_factory.mktemp("servers"), test_commands=True) as running:
        yield running


@pytest.fixture(scope="session")
def product(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The studio, the broker and the application of this process, with an animator that tests can steer."""
    with product_on(servers, tmp_path_factory.mktemp("fake-service")) as wired:
        yield wired


@pytest.fixture(scope="session")
def web(product: Product) -> Iterator[str]:
    """The address of a real web server."""
    with serving(product.app) as url:
        yield url


@pytest.fixture
def client(web: str, product: Product) -> Iterator[Client]:
    """Somebody new, at a service that has forgotten the test before."""
    product.service.forget()
    product.forget()
    with new_client(web) as one:
        yield one


@pytest.fixture
def worker(product: Product) -> Iterator[dramatiq.Worker]:
    """A worker of two threads in this process."""
    running = dramatiq.Worker(product.broker, worker_threads=2, worker_timeout=100)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawing: a red sun and green grass on white paper."""
    path = tmp_path_factory.mktemp("drawing") / "drawing.png"
    picture = Image.new("RGB", (320, 240), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((200, 20, 280, 100), fill="#d03030")
    pen.rectangle((0, 200, 320, 240), fill="#308030")
    picture.save(path)
    return path
