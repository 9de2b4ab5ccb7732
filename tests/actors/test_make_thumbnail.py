from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from app.client import Client, Json
from studio.objects import StoreUnavailable
from tests.app.uploads import picture, put
from tests.product import Product
from tests.studio import made
from tests.waiting import eventually


def asset_of(product: Product, media: Json) -> dict[str, str]:
    document = product.studio.database["media_assets"].find_one({"_id": media["mediaAssetId"]})
    assert document is not None
    return document


def test_a_drawing_gets_a_small_copy_and_shows_itself_until_then(
    client: Client, product: Product, request: pytest.FixtureRequest
) -> None:
    media = client.post("/media/commit", put(client, picture(1_600, 1_200)))
    assert media["thumbUrl"] == media["url"]
    artwork = client.post("/artworks", {"coverAssetId": media["mediaAssetId"]})
    assert artwork["thumbUrl"] == artwork["coverUrl"]

    request.getfixturevalue("worker")
    eventually(lambda: asset_of(product, media).get("thumb_key"))
    (shown,) = client.get("/gallery")["items"]
    assert "/thumb/v1/" in shown["thumbUrl"]
    with Image.open(io.BytesIO(client._bucket.get(shown["thumbUrl"]).content)) as small:
        assert (small.format, small.size) == ("JPEG", (480, 360))


@pytest.mark.usefixtures("worker")
def test_a_film_gets_a_still(client: Client, product: Product, tmp_path: Path) -> None:
    content = made.clip(tmp_path / "clip.mp4").read_bytes()
    media = client.post("/media/commit", put(client, content, "video", "video/mp4"))
    assert media["thumbUrl"] is None
    eventually(lambda: asset_of(product, media).get("poster_key"))
    again = client.post("/media/commit", {"key": asset_of(product, media)["source"]})
    with Image.open(io.BytesIO(client._bucket.get(again["thumbUrl"]).content)) as still:
        assert (still.format, still.size) == ("JPEG", (64, 48))


def test_a_thumbnail_is_made_once_and_a_second_run_changes_nothing(client: Client, product: Product) -> None:
    from actors import make_thumbnail

    media = client.post("/media/commit", put(client, picture()))
    make_thumbnail.fn(media["mediaAssetId"])
    first = asset_of(product, media)
    make_thumbnail.fn(media["mediaAssetId"])
    assert asset_of(product, media) == first
    make_thumbnail.fn("of nothing")


def test_of_what_was_erased_meanwhile_nothing_is_left(
    client: Client, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import make_thumbnail

    media = client.post("/media/commit", put(client, picture()))
    studio = product.studio
    local_copy = studio.objects.local_copy

    @contextmanager
    def erased_meanwhile(key: str) -> Iterator[Path]:
        with local_copy(key) as path:
            yield path
        studio.database["media_assets"].delete_one({"_id": media["mediaAssetId"]})

    monkeypatch.setattr(studio.objects, "local_copy", erased_meanwhile)
    make_thumbnail.fn(media["mediaAssetId"])
    folder = media["key"].partition("/original/")[0]
    assert [found.key for found in studio.objects.list_objects(folder)] == [media["key"]]


@pytest.mark.parametrize("broken", [b"", b"this is no picture"])
def test_a_picture_that_cannot_be_opened_any_more_has_no_thumbnail(
    client: Client, product: Product, tmp_path: Path, broken: bytes
) -> None:
    from actors import make_thumbnail

    media = client.post("/media/commit", put(client, picture()))
    (tmp_path / "broken").write_bytes(broken)
    product.studio.objects.upload(tmp_path / "broken", media["key"], mime="image/png")
    make_thumbnail.fn(media["mediaAssetId"])
    assert "thumb_key" not in asset_of(product, media)
    product.studio.objects.delete(media["key"])
    make_thumbnail.fn(media["mediaAssetId"])


def test_a_thumbnail_waits_for_a_store_that_is_away(
    client: Client, product: Product, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    media = client.post("/media/commit", put(client, picture()))
    upload, failures = product.studio.objects.upload, iter([StoreUnavailable("HTTP 503", retry_after_s=0.05)])

    def sometimes(path: Path, key: str, *, mime: str) -> object:
        for failure in failures:
            raise failure
        return upload(path, key, mime=mime)

    monkeypatch.setattr(product.studio.objects, "upload", sometimes)
    request.getfixturevalue("worker")
    eventually(lambda: asset_of(product, media).get("thumb_key"))


def test_a_recording_asks_for_no_thumbnail(client: Client, product: Product, tmp_path: Path) -> None:
    content = made.wav(tmp_path / "a.wav", made.tone(0.5)).read_bytes()
    before = product.studio.database["queue_default"].count_documents({})
    media = client.post("/media/commit", put(client, content, "audio", "audio/wav"))
    assert media["thumbUrl"] is None
    assert product.studio.database["queue_default"].count_documents({}) == before
