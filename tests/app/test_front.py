from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from app.front import ObjectFront
from app.stack import Servers
from studio import presigner
from studio.objects import ObjectStore
from tests.app.stack.dummy_web import app as dummy_web
from tests.app.stores import store_of
from tests.product import serving
from tests.waiting import eventually

MAX_BYTES = 2_000_000
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def origin(servers: Servers) -> Iterator[str]:
    """A web server with the front around a small application."""
    with serving(
        ObjectFront(dummy_web, upstream=servers.s3_endpoint, bucket=servers.bucket, max_bytes=MAX_BYTES)
    ) as url:
        yield url


@pytest.fixture(scope="module")
def store(servers: Servers, origin: str) -> ObjectStore:
    return store_of(servers, public_endpoint=origin)


@pytest.fixture(scope="module")
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def key() -> str:
    return f"tests/{uuid4().hex} 画.png"


def put(browser: httpx.Client, store: ObjectStore, key: str, body: bytes) -> None:
    url = store.presign_put(key, mime="image/png", size=len(body))
    assert browser.put(url, content=body, headers=PNG).status_code == 200


def test_presigned_put_and_get_go_through(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    put(browser, store, key, b"0123456789")
    answer = browser.get(store.presign_get(key, mime="image/png"))
    assert (answer.status_code, answer.content) == (200, b"0123456789")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("bytes=2-4", (b"234", "bytes 2-4/10")),
        ("bytes=7-", (b"789", "bytes 7-9/10")),
        ("bytes=-2", (b"89", "bytes 8-9/10")),
    ],
)
def test_range_is_answered_with_206(
    browser: httpx.Client, store: ObjectStore, key: str, wanted: str, given: tuple[bytes, str]
) -> None:
    put(browser, store, key, b"0123456789")
    answer = browser.get(store.presign_get(key, mime="image/png"), headers={"Range": wanted})
    assert answer.status_code == 206
    assert (answer.content, answer.headers["content-range"]) == given


def test_range_beyond_the_end_is_416(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    put(browser, store, key, b"0123456789")
    answer = browser.get(store.presign_get(key, mime="image/png"), headers={"Range": "bytes=50-"})
    assert answer.status_code == 416


def test_missing_object_is_404(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    assert browser.get(store.presign_get(key, mime="image/png")).status_code == 404


def test_longer_body_than_signed_is_refused(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    url = store.presign_put(key, mime="image/png", size=5)
    assert browser.put(url, content=b"123456", headers=PNG).status_code == 403
    assert store.head(key) is None


def test_other_content_type_than_signed_is_refused(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    url = store.presign_put(key, mime="image/png", size=5)
    assert browser.put(url, content=b"12345", headers={"Content-Type": "text/html"}).status_code == 403
    assert store.head(key) is None


def test_large_upload_with_a_forged_signature_is_403_and_not_a_broken_connection(
    browser: httpx.Client, store: ObjectStore, key: str
) -> None:
    url = forged(store.presign_put(key, mime="image/png", size=MAX_BYTES))
    assert browser.put(url, content=bytes(MAX_BYTES), headers=PNG).status_code == 403


def test_forged_address_is_403(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    assert browser.get(forged(store.presign_get(key, mime="image/png"))).status_code == 403


def test_unsigned_address_is_403(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    assert browser.get(store.presign_get(key, mime="image/png").partition("?")[0]).status_code == 403


def test_expired_address_is_403(
    browser: httpx.Client, store: ObjectStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(presigner, "now", lambda: hour_ago)
    url = store.presign_get(key, mime="image/png")
    assert f"X-Amz-Date={hour_ago:%Y%m%dT%H%M}" in url
    assert browser.get(url).status_code == 403


def test_address_of_another_method_is_403(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    assert browser.head(store.presign_get(key, mime="image/png")).status_code == 403


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH"])
def test_other_methods_are_refused_before_the_store_is_asked(
    browser: httpx.Client, store: ObjectStore, key: str, method: str
) -> None:
    answer = browser.request(method, store.presign_get(key, mime="image/png"))
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, PUT, OPTIONS"
    assert answer.json()["code"] == "METHOD_NOT_ALLOWED"


def test_declared_length_above_the_cap_is_refused(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    url = store.presign_put(key, mime="image/png", size=MAX_BYTES + 1)
    answer = browser.put(url, content=bytes(MAX_BYTES + 1), headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (413, "FILE_TOO_LARGE")


def test_upload_without_a_length_is_refused(browser: httpx.Client, store: ObjectStore, key: str) -> None:
    url = store.presign_put(key, mime="image/png", size=5)
    assert browser.put(url, content=iter([b"12345"]), headers=PNG).status_code == 400


def test_everything_else_goes_to_the_application(browser: httpx.Client, origin: str, servers: Servers) -> None:
    assert browser.get(origin).text == "drawn"
    assert browser.get(f"{origin}/{servers.bucket}-and-more").text == "drawn"


def test_store_that_is_gone_is_503_and_comes_back(
    browser: httpx.Client, store: ObjectStore, key: str, servers: Servers
) -> None:
    put(browser, store, key, b"kept")
    url = store.presign_get(key, mime="image/png")
    servers.rclone.kill()
    try:
        answer = browser.get(url)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "STORE_UNAVAILABLE"
        assert answer.json()["retryable"] is True
    finally:
        servers.rclone.restart()
    assert browser.get(url).content == b"kept"


def test_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing(
    servers: Servers, store: ObjectStore, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = urlsplit(store.presign_put(key, mime="image/png", size=1_000_000))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: image/png\r\n"
    with socket.create_connection((url.hostname or "", url.port or 0)) as client:
        client.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + bytes(200_000))
        eventually(lambda: unfinished_uploads(servers))
    eventually(lambda: not unfinished_uploads(servers))
    assert store.head(key) is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def unfinished_uploads(servers: Servers) -> list[Any]:
    return list((servers.folder / "objects").rglob(".rclone_temp_put_*"))


def test_client_that_leaves_in_the_middle_of_a_film_ends_the_read(
    servers: Servers, store: ObjectStore, key: str
) -> None:
    body = bytes(MAX_BYTES)
    sent = 0

    async def scenario() -> None:
        nonlocal sent
        gone = asyncio.Event()
        front = ObjectFront(dummy_web, upstream=servers.s3_endpoint, bucket=servers.bucket, max_bytes=MAX_BYTES)
        url = urlsplit(store_of(servers).presign_get(key, mime="image/png"))

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if message["type"] == "http.response.body":
                gone.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/{servers.bucket}/{key}",
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": [(b"host", url.netloc.encode())],
        }
        await front(scope, receive, send)
        await front.aclose()

    with httpx.Client(trust_env=False) as browser:
        put(browser, store, key, body)
    asyncio.run(scenario())
    assert 0 < sent < len(body)


def test_addresses_are_never_logged(store: ObjectStore, key: str, caplog: pytest.LogCaptureFixture) -> None:
    url = urlsplit(store.presign_put(key, mime="image/png", size=6))
    caplog.set_level(logging.DEBUG)
    # The product quiets these; here they are to say what they can.
    for name in ("httpcore", "httpx", "botocore", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    # Not httpx, which logs what it asks for: here as the test's client, and in the front if that used it.
    client = HTTPConnection(url.netloc)
    client.request("PUT", f"{url.path}?{url.query}", body=b"secret", headers=PNG)
    assert client.getresponse().status == 200
    client.close()
    assert caplog.records
    assert not [record for record in caplog.records if re.search("X-Amz-Signature|tests/", record.getMessage())]


def test_connections_are_closed_when_the_lifespan_ends(servers: Servers) -> None:
    front = ObjectFront(dummy_web, upstream=servers.s3_endpoint, bucket=servers.bucket, max_bytes=MAX_BYTES)
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    answers: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: Any) -> None:
        answers.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            async with httpx.AsyncClient(transport=httpx.ASGITransport(front)) as client:
                assert (await client.get(f"http://localhost/{servers.bucket}")).status_code == 403
            assert len(front._relay._transport._pool.connections) == 1

    asyncio.run(front({"type": "lifespan"}, receive, send))
    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert front._relay._transport._pool.connections == []


def forged(url: str) -> str:
    return re.sub("(?<=X-Amz-Signature=)[0-9a-f]{8}", "0badf00d", url)
