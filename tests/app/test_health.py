from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client
from app.stack import Servers
from studio.studio import Studio
from tests.product import Product, new_artwork, serving


def checks(http: httpx.Client) -> tuple[int, dict[str, str]]:
    answer = http.get("/healthz")
    body = answer.json()
    assert body["status"] == ("ok" if answer.status_code == 200 else "degraded")
    return answer.status_code, body["checks"]


@pytest.fixture(autouse=True)
def _nothing_waits(product: Product) -> None:
    product.broker.flush("default")


def test_all_is_well(http: httpx.Client) -> None:
    assert checks(http) == (200, {"mongodb": "ok", "s3": "ok", "queue": "ok"})


def test_work_that_nobody_claims_is_red(
    client: Client, http: httpx.Client, drawing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.post("/generation/jobs", json={"artworkId": new_artwork(client, drawing)["artworkId"]})
    assert checks(http)[0] == 200, "it has not waited for long"
    monkeypatch.setattr("app.routes.health.STUCK_AFTER_S", -1.0)
    status, found = checks(http)
    assert status == 503
    assert "waiting" in found.pop("queue")
    assert found == {"mongodb": "ok", "s3": "ok"}


def test_a_bucket_that_is_missing_is_red(product: Product) -> None:
    from app.application import create_app

    studio = Studio(product.studio.settings)
    with serving(create_app(studio, product.broker)) as url, httpx.Client(base_url=url) as http:
        studio.objects.bucket = "no-such-bucket"
        assert checks(http)[1]["s3"] == "the bucket is missing"
    studio.close()


def test_a_store_that_is_gone_is_red_until_it_is_back(http: httpx.Client, servers: Servers) -> None:
    servers.rclone.kill()
    try:
        status, found = checks(http)
    finally:
        servers.rclone.restart()
    assert status == 503
    assert found.pop("s3") != "ok"
    assert found == {"mongodb": "ok", "queue": "ok"}
    assert checks(http)[0] == 200
