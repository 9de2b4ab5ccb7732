"""MongoDB or the object store dies in the middle of everything, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.client import Client, Json
from app.stack import Servers
from app.stack.ports import free_port
from app.stack.servers import Server
from studio.settings import Settings
from studio.studio import Studio
from tests.app.problems import problem_of
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, serving
from tests.waiting import eventually


@contextmanager
def without(server: Server) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.restart()


@pytest.fixture
def job(client: Client, http: httpx.Client, drawing: Path, product: Product, worker: object) -> Json:
    """A film that is being made, and will not be finished before the service is told to."""
    product.service.behave("never")
    ordered = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    eventually(lambda: client.get(f"/generation/jobs/{ordered['jobId']}")["step"] == "poll_video")
    return ordered


def test_without_the_database_calls_are_refused_and_no_job_is_lost(
    client: Client, http: httpx.Client, servers: Servers, product: Product, job: Json
) -> None:
    with without(servers.mongod), ThreadPoolExecutor() as pool:
        read = pool.submit(http.get, "/gallery", headers={"Accept-Language": "zh"})
        written = pool.submit(http.post, "/artworks", json={"title": "Fox"})
        health = pool.submit(http.get, "/healthz")
        problem_of(read.result(), "DATABASE_UNAVAILABLE", "zh")
        assert read.result().headers["retry-after"]
        problem_of(written.result(), "DATABASE_UNAVAILABLE")
        assert health.result().status_code == 503
        assert health.result().json()["checks"]["mongodb"] != "ok"
        assert health.result().json()["checks"]["s3"] == "ok"
        product.service.behave("")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1
    assert http.get("/healthz").json()["checks"]["mongodb"] == "ok"


def test_a_watcher_goes_on_where_the_database_left_it(
    client: Client, servers: Servers, product: Product, job: Json
) -> None:
    events = client.watch(job["jobId"], patience_s=60)
    seen = [next(events)]
    with without(servers.mongod):
        product.service.behave("")
    seen += events
    assert [event["status"] for event in seen][-1] == "succeeded"
    assert [event["progress"] for event in seen] == sorted(event["progress"] for event in seen)
    stored = product.studio.database["events"].count_documents({"job_id": job["jobId"]})
    assert len(seen) == stored, "each event once"


def test_without_the_store_calls_are_refused_and_no_job_is_lost(
    client: Client, http: httpx.Client, servers: Servers, product: Product, job: Json
) -> None:
    upload = put(client, picture())
    with without(servers.rclone):
        problem_of(http.post("/media/commit", json=upload), "STORE_UNAVAILABLE")
        assert http.get("/gallery").is_success, "what needs no bytes still works"
        product.service.behave("")
        eventually(lambda: client.get(f"/generation/jobs/{job['jobId']}")["step"] == "capture_video")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert http.post("/media/commit", json=upload).status_code == 201


@contextmanager
def another_web(product: Product, **changed: str) -> Iterator[tuple[httpx.Client, Settings]]:
    """A web process of its own, started now."""
    from app.application import create_app

    studio = Studio(product.studio.settings.model_copy(update=changed))
    headers = {"X-Client-Id": "a-client-of-it"}
    with serving(create_app(studio, product.broker)) as url, httpx.Client(base_url=url, headers=headers) as http:
        yield http, studio.settings
    studio.close()


def test_a_web_process_that_starts_without_the_store_prepares_when_it_is_there(
    product: Product, servers: Servers
) -> None:
    servers.rclone.kill()
    try:
        with another_web(product, s3_bucket="a-new-bucket") as (http, _):
            health = http.get("/healthz")
            assert health.status_code == 503
            assert health.json()["checks"]["s3"] != "ok"
            assert http.get("/gallery").is_success
            servers.rclone.restart()
            eventually(lambda: http.get("/healthz").json()["checks"]["s3"] == "ok")
    finally:
        servers.rclone.restart()


def test_a_web_process_starts_without_the_database(product: Product) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?directConnection=true"
    with another_web(product, mongodb_uri=uri) as (http, _), ThreadPoolExecutor() as pool:
        gallery, health = pool.submit(http.get, "/gallery"), pool.submit(http.get, "/healthz")
        problem_of(gallery.result(), "DATABASE_UNAVAILABLE")
        assert health.result().status_code == 503
