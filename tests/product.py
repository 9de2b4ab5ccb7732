"""The product under test in this process: the studio, the broker, a real web server, and a client for it."""

from __future__ import annotations

import secrets
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from app import server
from app.client import Client, Json
from app.stack import Servers
from app.stack.ports import free_port, is_free
from broker import MongoBroker
from studio.settings import settings
from studio.studio import Studio
from tests.fakes import FakeService
from tests.waiting import eventually

LIMITS = (
    "LIMIT_CHANGES_PER_MINUTE",
    "LIMIT_UPLOADS_PER_MINUTE",
    "LIMIT_JOBS_PER_HOUR",
    "LIMIT_CALLBACKS_PER_MINUTE",
)


@dataclass(frozen=True)
class Product:
    """Wired as in production, against the test servers. Actors belong to one broker, so there is one per run."""

    studio: Studio
    broker: MongoBroker
    app: Any
    service: FakeService
    env: dict[str, str]
    """For processes of the same product."""

    def forget(self) -> None:
        """Forget what was ordered and not done, so that no worker of a later test does it.

        The message, and the job too, for which the sweep would send another one.
        """
        self.studio.database["jobs"].delete_many({"live": True})
        self.broker.flush("default")


@contextmanager
def product_on(servers: Servers, folder: Path) -> Iterator[Product]:
    service = FakeService(folder)
    env = {
        **servers.env,
        "MONGODB_DB": f"product_{secrets.token_hex(4)}",
        "OWNER_KEY": "tests",
        "VIDEO_PROVIDER": "fake",
        "FAKE_SERVICE": str(folder),
        "LOG_LEVEL": "WARNING",
        "TASK_WEBHOOK_SECRETS": f"whsec_{b64encode(secrets.token_bytes(32)).decode()}",
        # Every test is at one address. Calls are counted as in production, and never too many.
        **dict.fromkeys(LIMITS, "1000000"),
    }
    assert "actors" not in sys.modules, "a test module imports the actors, which are wired when they are imported"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        settings.cache_clear()
        # First, because it makes the fake known before anything imports the actors.
        from tests.worker import broker, studio  # isort: skip
        from app.application import create_app

        # The fake reads the environment when it is made. From here on nothing does, and no other test may see it.
        assert studio.settings.video_provider == ("fake",)
        studio.providers.animator_named("fake")
    service.make_clip()
    studio.prepare()
    yield Product(studio, broker, create_app(studio, broker), service, env)
    broker.close()
    studio.close()


@contextmanager
def serving(app: Any, *, port: int | None = None) -> Iterator[str]:
    """A real web server in a thread, at any port that is free unless one is given; its address."""
    port = port or free_port()
    stops: Queue[Callable[[], None]] = Queue()
    options = {"host": "127.0.0.1", "port": port, "started": stops.put}
    thread = threading.Thread(target=server.run, args=(app,), kwargs=options, daemon=True)
    thread.start()
    stop = stops.get(timeout=60)
    eventually(lambda: not is_free(port))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join()


@contextmanager
def serving_with(product: Product, **changed: Any) -> Iterator[str]:
    """A web server of the same deployment with some settings of its own; its address."""
    from app.application import create_app

    studio = Studio(product.studio.settings.model_copy(update=changed))
    with closing(studio), serving(create_app(studio, product.broker)) as url:
        yield url


def new_client(url: str, *, language: str = "en") -> Client:
    return Client(url, secrets.token_urlsafe(16), language=language)


def forget_step_times(product: Product) -> None:
    """Have no history of how long steps take, and nothing of one on its way."""
    product.studio.step_times.write()
    product.studio.database["step_times"].delete_many({})


def new_artwork(client: Client, drawing: Path, *, story: str = "A fox flies.", **fields: Any) -> Json:
    """An artwork with a drawing and a typed story."""
    cover = client.upload(drawing, "image")
    body = {"title": "Fox", "description": story, "coverAssetId": cover["mediaAssetId"], **fields}
    return client.post("/artworks", body)
