from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.origins import Origins
from app.stack import Servers
from studio.settings import AppMode, AuthMode, Settings
from tests.app.problems import problem_of
from tests.app.stores import store_of
from tests.product import Product, serving_with

HERE = "https://huaban.example"
OUTSIDE = "https://name-outside.example"
ALLOWED = "https://friends.example"
EVIL = "https://evil.example"
BUILT_ELSEWHERE = "http://localhost:3003"


@pytest.fixture(scope="module")
def url(product: Product) -> Iterator[str]:
    """A deployment with the bucket's door, whose operator has a page elsewhere."""
    changed = {"s3_front": True, "public_url": f"{OUTSIDE}/huaban", "allowed_origins": (ALLOWED,)}
    with serving_with(product, **changed) as address:
        yield address


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    """Addressed by a name, as by people on other machines."""
    headers = {"Host": "huaban.example", "X-Client-Id": "a-client-of-it"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as one:
        yield one


def change(browser: httpx.Client, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.post("/artworks", json={"title": "Fox"}, headers=named)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": HERE},
        {"origin": ALLOWED},
        {"referer": f"{HERE}/some/page"},
        {"referer": f"{ALLOWED}/"},
        {"origin": HERE, "referer": f"{EVIL}/"},
        {"origin": HERE, "sec_fetch_site": "same-origin"},
        {"origin": OUTSIDE},
        {"origin": "https://not-told-of.example", "sec_fetch_site": "same-origin"},
        {"origin": ALLOWED, "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": BUILT_ELSEWHERE, "host": "localhost:8080"},
        {"origin": "http://127.0.0.1:3003", "host": "localhost:8080", "sec_fetch_site": "cross-site"},
        {"origin": BUILT_ELSEWHERE, "host": "[::1]:8080"},
        {"referer": f"{BUILT_ELSEWHERE}/draw", "host": "127.0.0.1"},
    ],
)
def test_pages_that_are_welcome_may_change_things(browser: httpx.Client, headers: dict[str, str]) -> None:
    assert change(browser, **headers).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": "null"},
        {"origin": f"{HERE}:8443"},
        {"origin": f"{HERE}.evil.example"},
        {"origin": "http://friends.example"},
        {"referer": f"{EVIL}/{HERE}"},
        {"referer": f"https://huaban.example@evil.example/{HERE}"},
        {"origin": EVIL, "referer": f"{HERE}/"},
        {"origin": EVIL, "sec_fetch_site": "cross-site"},
        {"origin": "http://huaban.example", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": BUILT_ELSEWHERE},
        {"origin": EVIL, "host": "localhost:8080"},
        {"origin": "http://localhost.evil.example", "host": "localhost:8080"},
        {"origin": "http://[", "host": "localhost:8080"},
    ],
)
def test_pages_that_are_not_welcome_are_refused(browser: httpx.Client, headers: dict[str, str]) -> None:
    answer = change(browser, **headers)
    problem_of(answer, "ORIGIN_REFUSED")
    assert "access-control-allow-origin" not in answer.headers


def test_a_refusal_is_in_the_callers_language(browser: httpx.Client) -> None:
    problem_of(change(browser, origin=EVIL, accept_language="zh"), "ORIGIN_REFUSED", "zh")


def test_whoever_reads_is_answered_but_only_welcome_pages_see_it(browser: httpx.Client) -> None:
    for origin, sees in ((EVIL, None), (ALLOWED, ALLOWED), (HERE, HERE)):
        answer = browser.get("/gallery", headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers.get("access-control-allow-origin") == sees
        assert answer.headers["vary"] == "Origin"
    assert browser.get("/gallery").headers["vary"] == "Origin"


def test_a_welcome_page_sees_refusals_and_what_headers_tell(browser: httpx.Client) -> None:
    answer = browser.get("/artworks/no-such-artwork", headers={"Origin": ALLOWED})
    problem_of(answer, "NOT_FOUND")
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    exposed = answer.headers["access-control-expose-headers"].lower()
    assert {"x-request-id", "location", "retry-after", "etag"} <= set(exposed.split(", "))
    assert "access-control-allow-credentials" not in answer.headers


def preflight(browser: httpx.Client, path: str, origin: str, method: str, **headers: str) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **headers}
    return browser.options(path, headers=asked)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_welcome_page_may_send_what_the_api_takes(browser: httpx.Client, method: str) -> None:
    answer = preflight(browser, "/artworks/some-id", ALLOWED, method)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    allowed = set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert {"x-client-id", "authorization", "content-type", "last-event-id", "range"} <= allowed
    assert answer.headers["x-request-id"]


def test_a_page_that_is_not_welcome_learns_why(browser: httpx.Client) -> None:
    answer = preflight(browser, "/artworks", EVIL, "POST")
    problem_of(answer, "ORIGIN_REFUSED")
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_page_elsewhere_can_upload_to_the_bucket(browser: httpx.Client, servers: Servers, url: str) -> None:
    endpoint = url.replace("127.0.0.1", "localhost")
    store = store_of(servers, public_endpoint=endpoint)
    door = store.presign_put("tests/by-a-page.png", mime="image/png", size=3)
    page = {"Origin": BUILT_ELSEWHERE, "Host": httpx.URL(door).netloc.decode()}
    asked = preflight(browser, door, BUILT_ELSEWHERE, "PUT", Host=page["Host"])
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, BUILT_ELSEWHERE)
    stored = browser.put(door, content=b"abc", headers={**page, "Content-Type": "image/png"})
    assert stored.status_code == 200
    assert stored.headers.get_list("access-control-allow-origin") == [BUILT_ELSEWHERE]
    assert stored.headers["etag"]
    assert "etag" in stored.headers["access-control-expose-headers"].lower()
    read = store.presign_get("tests/by-a-page.png", mime="image/png")
    assert "access-control-allow-origin" not in browser.get(read, headers={**page, "Origin": EVIL}).headers


def test_in_development_every_page_is_welcome(product: Product) -> None:
    with serving_with(product, app_mode=AppMode.DEV) as url, httpx.Client(base_url=url) as browser:
        browser.headers["X-Client-Id"] = "a-client-of-it"
        assert change(browser, origin=EVIL).headers["access-control-allow-origin"] == EVIL
        assert change(browser, sec_fetch_site="cross-site").status_code == 201
        assert browser.post("/init", headers={"Origin": EVIL}).json()["rateLimits"] == {}


def test_a_name_that_somebody_let_point_here_does_not_open_the_one_familys_gallery(product: Product) -> None:
    changed = {"auth_mode": AuthMode.SINGLE, "allowed_origins": ("http://fox.local:8080",)}
    with serving_with(product, **changed) as url, httpx.Client(base_url=url) as browser:
        for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""):
            problem_of(browser.get("/gallery", headers={"Host": host}), "ORIGIN_REFUSED")
            problem_of(change(browser, host=host, origin=f"http://{host}"), "ORIGIN_REFUSED")
        for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "fox.local:8080"):
            assert browser.get("/gallery", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(("origin", "is_let_in"), [(None, True), (HERE, True), (ALLOWED, True), (EVIL, False)])
def test_a_socket_is_a_change_too(origin: str | None, *, is_let_in: bool) -> None:
    reached: list[str] = []
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["type"])

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "huaban.example", **({"origin": origin} if origin else {})}
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    origins = Origins(app, Settings(allowed_origins=(ALLOWED,)))
    asyncio.run(origins({"type": "websocket", "headers": headers}, receive, send))
    assert bool(reached) is is_let_in
    assert [message["type"] for message in sent] == ([] if is_let_in else ["websocket.close"])
