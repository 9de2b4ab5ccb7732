"""Reading media: by an address that authorises itself, or as the one it belongs to."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.client import Client, Json
from app.stack import Servers
from studio.records import owner_of
from studio.settings import MediaDelivery
from studio.studio import Studio
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_client, serving


@pytest.fixture(scope="module")
def streaming(product: Product) -> Iterator[str]:
    """The same product, with MEDIA_DELIVERY=stream."""
    from app.application import create_app

    settings = product.studio.settings.model_copy(update={"media_delivery": MediaDelivery.STREAM})
    studio = Studio(settings)
    with serving(create_app(studio, product.broker)) as url:
        yield url
    studio.close()


@pytest.fixture
def asset(client: Client) -> Json:
    return client.post("/media/commit", put(client, picture(300, 200)))


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    """Somebody who is not known, and does not follow."""
    with httpx.Client(trust_env=False) as one:
        yield one


@pytest.fixture
def streamed(asset: Json, web: str, streaming: str) -> str:
    """The asset's address at the server that streams: all servers of a deployment take the same ones."""
    url: str = asset["url"]
    assert url.startswith(f"{web}/media/clients/")
    return url.replace(web, streaming)


def test_an_address_leads_to_the_object_and_may_be_kept_for_less_than_that_works(
    asset: Json, browser: httpx.Client, traces: Traces
) -> None:
    answer = browser.get(asset["url"])
    assert answer.status_code == 302
    assert answer.headers["cache-control"] == "private, max-age=300"
    there = browser.get(answer.headers["location"])
    assert there.content == traces.read(asset["key"])
    assert there.headers["content-type"] == "image/png"


def test_a_redirect_answers_head_with_an_address_that_takes_head(asset: Json, browser: httpx.Client) -> None:
    answer = browser.head(asset["url"])
    assert (answer.status_code, answer.content) == (302, b"")
    assert browser.head(answer.headers["location"]).status_code == 200


def test_the_address_of_an_answer_stays_the_same_for_a_while(http: httpx.Client, client: Client, asset: Json) -> None:
    client.post("/artworks", {"coverAssetId": asset["mediaAssetId"]})
    first, second = (http.get("/gallery").json()["items"][0]["coverUrl"] for _ in range(2))
    assert first == second == asset["url"]


@pytest.mark.parametrize("changed", ["s=AAAA", "s=", "e=1", "e=9999999999", "e=x", "t=text/html", "t=%0A"])
def test_an_address_that_was_changed_tells_nothing(
    asset: Json, browser: httpx.Client, streamed: str, *, changed: str
) -> None:
    name = changed[:2]
    for url in (asset["url"], streamed):
        start, found, rest = url.partition(name)
        broken = start + changed + rest[rest.find("&") if "&" in rest else len(rest) :]
        assert found
        symbol = "MEDIA_LINK_EXPIRED" if changed != "s=" else "CLIENT_ID_REQUIRED"
        problem_of(browser.get(broken), symbol)
        problem_of(browser.get(broken.replace(asset["key"], asset["key"] + "x")), symbol)


def test_an_address_that_has_expired_is_refused(
    asset: Json, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 1200
    monkeypatch.setattr("studio.media_links.time.time", lambda: later)
    problem_of(browser.get(asset["url"]), "MEDIA_LINK_EXPIRED")


def test_an_owner_needs_no_signature_and_nobody_else_is_let_in(
    asset: Json, http: httpx.Client, web: str, streaming: str
) -> None:
    assert http.get(f"/media/{asset['key']}").status_code == 302
    mine = {"X-Client-Id": http.headers["x-client-id"]}
    assert httpx.get(f"{streaming}/media/{asset['key']}", headers=mine).headers["content-type"] == "image/png"
    with new_client(web) as stranger:
        problem_of(stranger._api.get(f"/media/{asset['key']}"), "NOT_FOUND")


@pytest.mark.parametrize(
    "way", ["", "/", "%00", "%2e%2e", "tree", "public/", "clients", "clients//x", "{mine}", "{mine}/", "{mine}//x",
            "{mine}/%2e%2e/{key}", "{mine}/%2e/x", "{mine}/x%00", "{mine}%2fx", "%2f{key}", "%5c{key}"]
)  # fmt: skip
def test_no_way_around_leads_to_somebody_elses_object(asset: Json, web: str, product: Product, way: str) -> None:
    with new_client(web) as stranger:
        owner = owner_of(stranger._api.headers["x-client-id"], product.env["OWNER_KEY"])
        path = way.format(mine=f"clients/{owner}", key=asset["key"].removeprefix("clients/"))
        answer = stranger._api.get(f"/media/{path}")
        assert answer.status_code in {302, 404}
        if answer.status_code == 302:
            assert f"/clients/{owner}/" in answer.headers["location"]
            assert stranger._bucket.get(answer.headers["location"]).status_code == 404


def test_bytes_are_streamed_with_their_type_and_may_be_kept_until_the_address_expires(
    browser: httpx.Client, streamed: str, asset: Json, traces: Traces
) -> None:
    answer = browser.get(streamed)
    assert (answer.status_code, answer.content) == (200, traces.read(asset["key"]))
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == f'"{asset["etag"]}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    kept, _, seconds = answer.headers["cache-control"].partition("max-age=")
    assert kept == "private, "
    assert 590 < int(seconds) <= 1200
    assert not [name for name in answer.headers if name.startswith(("x-amz", "access-control"))]
    head = browser.head(streamed)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=2-4", 206, slice(2, 5)),
        ("bytes=7-", 206, slice(7, None)),
        ("bytes=-2", 206, slice(-2, None)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("bytes=what", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("pages=1-2", 200, slice(None)),
    ],
)
def test_a_range_is_streamed_and_what_is_no_range_is_ignored(
    browser: httpx.Client, streamed: str, *, wanted: str, status: int, part: slice
) -> None:
    whole = browser.get(streamed)
    answer = browser.get(streamed, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, whole.content[part])
    assert ("content-range" in answer.headers) is (status == 206)
    same = {"Range": wanted, "If-Range": whole.headers["etag"]}
    assert browser.get(streamed, headers=same).status_code == status
    other = browser.get(streamed, headers={"Range": wanted, "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_a_range_beyond_the_end_is_refused(browser: httpx.Client, streamed: str) -> None:
    problem_of(browser.get(streamed, headers={"Range": "bytes=99999999-"}), "RANGE_NOT_SATISFIABLE")


def test_what_a_browser_has_already_is_not_sent_again(browser: httpx.Client, streamed: str) -> None:
    etag = browser.get(streamed).headers["etag"]
    answer = browser.get(streamed, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "max-age" in answer.headers["cache-control"]
    assert browser.get(streamed, headers={"If-None-Match": '"another"'}).status_code == 200


def test_a_download_is_saved_under_the_name_of_its_asset(browser: httpx.Client, streamed: str, asset: Json) -> None:
    name = f"{asset['mediaAssetId']}.png"
    for url in (streamed, browser.get(asset["url"] + "&download=1").headers["location"]):
        given = browser.get(url + "&download=1" * ("/media/" in url)).headers["content-disposition"]
        assert given == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"


def test_an_object_that_is_gone_is_not_found(
    browser: httpx.Client, streamed: str, asset: Json, product: Product
) -> None:
    product.studio.objects.delete(asset["key"])
    problem_of(browser.get(streamed), "NOT_FOUND")
    problem_of(browser.get(streamed, headers={"Range": "bytes=0-1"}), "NOT_FOUND")


def test_a_store_that_is_away_is_said_to_be(browser: httpx.Client, streamed: str, servers: Servers) -> None:
    servers.rclone.kill()
    try:
        problem_of(browser.get(streamed), "STORE_UNAVAILABLE")
    finally:
        servers.rclone.restart()
    assert browser.get(streamed).status_code == 200


def test_a_reader_who_leaves_does_no_harm(streamed: str, browser: httpx.Client) -> None:
    url = urlsplit(streamed)
    with socket.create_connection((url.hostname or "", url.port or 0)) as gone:
        gone.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
    assert browser.get(streamed).status_code == 200
