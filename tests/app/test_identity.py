from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from studio.settings import AuthMode
from studio.studio import Studio
from tests.app.problems import problem_of
from tests.product import Product, serving

PATHS = [
    ("POST", "/init"),
    ("POST", "/upload/presign"),
    ("POST", "/media/commit"),
    ("POST", "/artworks"),
    ("GET", "/artworks/some-id"),
    ("GET", "/gallery"),
    ("POST", "/generation/jobs"),
    ("GET", "/generation/jobs/some-id"),
    ("GET", "/generation/jobs/some-id/events"),
    ("POST", "/generation/jobs/some-id/retry"),
    ("GET", "/ai/analyses/some-id"),
]
BODIES: dict[str, dict[str, object]] = {
    "/upload/presign": {"type": "image", "mime": "image/png", "size": 1},
    "/media/commit": {"key": "some-key"},
}


@pytest.fixture
def anonymous(web: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web) as browser:
        yield browser


@pytest.fixture(scope="module")
def single(product: Product) -> Iterator[httpx.Client]:
    """A deployment for one family on one machine."""
    from app.application import create_app

    studio = Studio(product.studio.settings.model_copy(update={"auth_mode": AuthMode.SINGLE}))
    with serving(create_app(studio, product.broker)) as url, httpx.Client(base_url=url) as browser:
        yield browser
    studio.close()


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_call_names_its_client(anonymous: httpx.Client, method: str, path: str) -> None:
    answer = anonymous.request(method, path, json=BODIES.get(path, {}) if method == "POST" else None)
    problem_of(answer, "CLIENT_ID_REQUIRED")


def test_health_needs_no_client(anonymous: httpx.Client) -> None:
    assert "checks" in anonymous.get("/healthz").json()


@pytest.mark.parametrize(
    "client_id",
    ["", "short", "x" * 65, "with a space in it", "dots.are.not.taken", "画伴画伴画伴画伴画伴", "a" * 12 + "\t\tb"],
)
def test_a_malformed_client_id_is_refused(anonymous: httpx.Client, client_id: str) -> None:
    problem_of(anonymous.get("/gallery", headers={b"X-Client-Id": client_id.encode()}), "CLIENT_ID_INVALID")


def test_two_client_ids_in_one_call_are_refused(anonymous: httpx.Client) -> None:
    headers = [("X-Client-Id", "a" * 12), ("X-Client-Id", "b" * 12)]
    problem_of(anonymous.get("/gallery", headers=headers), "CLIENT_ID_INVALID")


@pytest.mark.parametrize("client_id", ["0123456789", "V1StGXR8_Z5jdHi6B-myT", "x" * 64])
def test_ids_as_nanoid_makes_them_are_taken(anonymous: httpx.Client, client_id: str) -> None:
    assert anonymous.post("/init", headers={"X-Client-Id": client_id}).status_code == 200


def test_a_client_that_comes_again_is_the_same_one(http: httpx.Client) -> None:
    first, second = http.post("/init").json(), http.post("/init").json()
    assert second["registeredAt"] == first["registeredAt"]
    assert second["lastSeenAt"] >= first["lastSeenAt"]


def test_init_tells_every_limit(http: httpx.Client, product: Product) -> None:
    told = http.post("/init").json()
    assert set(told["uploads"]) == {"image", "audio", "video"}
    assert all(limits["mimeTypes"] and limits["maxBytes"] for limits in told["uploads"].values())
    assert told["uploads"]["image"]["maxPixels"] == 50_000_000
    assert told["presignExpiresS"] == product.studio.settings.presign_expires_s
    assert told["storyMaxCharacters"] == 2000


def test_the_client_id_itself_is_stored_nowhere(http: httpx.Client, product: Product) -> None:
    http.post("/init")
    http.post("/artworks", json={"title": "Fox"})
    database = product.studio.database
    stored = str([list(database[name].find()) for name in database.list_collection_names()])
    assert http.headers["x-client-id"] not in stored


def test_one_family_on_one_machine_needs_no_client_id(single: httpx.Client) -> None:
    made = single.post("/artworks", json={"title": "Fox"}).json()
    assert single.get(f"/artworks/{made['artworkId']}").json()["title"] == "Fox"


def test_a_named_client_of_a_single_deployment_keeps_to_itself(single: httpx.Client) -> None:
    made = single.post("/artworks", json={"title": "Fox"}).json()
    answer = single.get(f"/artworks/{made['artworkId']}", headers={"X-Client-Id": "somebody-else"})
    problem_of(answer, "NOT_FOUND")


def test_a_malformed_client_id_is_refused_in_single_mode_too(single: httpx.Client) -> None:
    problem_of(single.get("/gallery", headers={"X-Client-Id": "short"}), "CLIENT_ID_INVALID")


def test_nobody_can_name_the_one_family(single: httpx.Client, anonymous: httpx.Client) -> None:
    from app.identity import SINGLE_CLIENT

    for browser in (single, anonymous):
        problem_of(browser.get("/gallery", headers={"X-Client-Id": SINGLE_CLIENT}), "CLIENT_ID_INVALID")
