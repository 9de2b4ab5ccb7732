from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from app.client import Client, Json
from studio import intake
from studio.media_assets import Kind
from studio.objects import StoreUnavailable
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_client
from tests.studio import made


def commit(http: httpx.Client, body: Json) -> httpx.Response:
    return http.post("/media/commit", json=body)


def refused(http: httpx.Client, traces: Traces, body: Json, symbol: str) -> None:
    """A commit that is refused, and nothing that is left of the upload."""
    problem_of(commit(http, body), symbol)
    assert traces.keys() == []
    assert traces.documents("media_assets") == []


def test_a_second_commit_gives_the_same_asset(client: Client, http: httpx.Client, traces: Traces) -> None:
    body = put(client, picture())
    first, second = commit(http, body).json(), commit(http, body).json()
    assert second["mediaAssetId"] == first["mediaAssetId"]
    assert traces.keys() == [first["key"]]


def test_commits_at_the_same_time_give_one_asset(client: Client, http: httpx.Client, traces: Traces) -> None:
    body = put(client, picture(800, 600))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: commit(http, body), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["mediaAssetId"] for answer in answers}) == 1
    assert traces.keys() == [answers[0].json()["key"]]
    assert len(traces.documents("media_assets")) == 1


@pytest.mark.parametrize("moment", ["head", "download"])
def test_a_commit_that_is_overtaken_by_another_gives_its_asset(
    client: Client,
    http: httpx.Client,
    traces: Traces,
    product: Product,
    monkeypatch: pytest.MonkeyPatch,
    *,
    moment: str,
) -> None:
    body = put(client, picture())
    look = getattr(product.studio.objects, moment)
    overtaking: list[Json] = []

    def overtaken(*arguments: object) -> object:
        monkeypatch.undo()
        overtaking.append(commit(http, body).json())
        return look(*arguments)

    monkeypatch.setattr(product.studio.objects, moment, overtaken)
    assert commit(http, body).json()["mediaAssetId"] == overtaking[0]["mediaAssetId"]
    assert traces.keys() == [overtaking[0]["key"]]


def test_an_upload_of_somebody_else_is_not_found(client: Client, http: httpx.Client, web: str) -> None:
    body = put(client, picture())
    with new_client(web) as stranger:
        problem_of(commit(stranger._api, body), "NOT_FOUND")
    assert commit(http, body).status_code == 201


def test_a_key_that_is_no_upload_is_not_found(client: Client, http: httpx.Client) -> None:
    asset = commit(http, put(client, picture())).json()
    for key in (asset["key"], "somewhere/else.png", "../../etc/passwd", "\0", asset["key"] + "\n", "画"):
        problem_of(commit(http, {"key": key}), "NOT_FOUND")


def test_an_upload_that_never_came_can_be_committed_later(client: Client, http: httpx.Client) -> None:
    content = picture()
    door = client.post("/upload/presign", {"type": "image", "mime": "image/png", "size": len(content)})
    problem = problem_of(commit(http, {"key": door["key"]}), "UPLOAD_NOT_FOUND")
    assert problem["retryable"]
    client._bucket.put(door["url"], content=content, headers=door["headers"])
    assert commit(http, {"key": door["key"]}).status_code == 201


@pytest.mark.parametrize("changed", [{"etag": "0badf00d"}, {"size": 1}])
def test_an_upload_that_is_not_the_one_announced_is_refused(
    client: Client, http: httpx.Client, traces: Traces, changed: Json
) -> None:
    refused(http, traces, {**put(client, picture()), **changed}, "UPLOAD_CHANGED")


def test_an_upload_that_was_replaced_is_refused(client: Client, http: httpx.Client, traces: Traces) -> None:
    body = put(client, picture())
    traces.replace(body["key"], picture(65))
    refused(http, traces, body, "UPLOAD_CHANGED")


@pytest.mark.parametrize("told", [("etag", "size"), ("etag",), ("size",), ()])
@pytest.mark.parametrize("change", ["other bytes", "more bytes", "fewer bytes"])
def test_an_object_that_was_changed_after_its_announcement_is_refused(
    client: Client, http: httpx.Client, traces: Traces, *, told: tuple[str, ...], change: str
) -> None:
    body, content = put(client, picture()), picture()
    other = {"other bytes": b"\0" + content[1:], "more bytes": content + b"\0", "fewer bytes": content[:-1]}[change]
    traces.replace(body["key"], other)
    # The store cannot say whether bytes of the announced number are the announced ones; then only they can.
    symbol = "UPLOAD_CHANGED" if change != "other bytes" or "etag" in told else "IMAGE_UNREADABLE"
    refused(http, traces, {"key": body["key"], **{name: body[name] for name in told}}, symbol)


def test_an_object_that_is_changed_while_it_is_looked_at_is_refused(
    client: Client, http: httpx.Client, traces: Traces, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, content = put(client, picture()), picture()
    head = product.studio.objects.head

    def changed_after(key: str) -> object:
        monkeypatch.undo()
        found = head(key)
        traces.replace(key, b"\0" + content[1:])
        return found

    monkeypatch.setattr(product.studio.objects, "head", changed_after)
    refused(http, traces, body, "UPLOAD_CHANGED")


def test_an_iphones_photo_is_kept_as_jpeg(client: Client, http: httpx.Client, traces: Traces, tmp_path: Path) -> None:
    photo = tmp_path / "photo.heic"
    exif = Image.Exif()
    exif[0x010F] = "PhoneMaker"
    Image.new("RGB", (120, 80), "#d03030").save(photo, "HEIF", exif=exif.tobytes())
    asset = client.upload(photo, "image")
    assert (asset["mime"], asset["width"], asset["height"]) == ("image/jpeg", 120, 80)
    assert traces.keys() == [asset["key"]]
    assert asset["key"].endswith(".jpg")
    assert b"PhoneMaker" not in traces.read(asset["key"])
    (stored,) = traces.documents("media_assets")
    assert stored["hash"] == hashlib.sha256(traces.read(asset["key"])).hexdigest()


def test_an_upload_put_once_more_after_its_commit_changes_nothing(
    client: Client, http: httpx.Client, traces: Traces
) -> None:
    body = put(client, picture())
    asset = commit(http, body).json()
    stored = traces.read(asset["key"])
    traces.replace(body["key"], picture(65))
    assert commit(http, body).json()["mediaAssetId"] == asset["mediaAssetId"]
    assert traces.read(asset["key"]) == stored


def test_bytes_over_the_limit_are_refused_whatever_was_signed(
    client: Client, http: httpx.Client, traces: Traces
) -> None:
    body = put(client, picture())
    traces.replace(body["key"], bytes(20_000_001))
    refused(http, traces, {"key": body["key"]}, "FILE_TOO_LARGE")


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_another_picture_than_declared_is_taken_as_what_it_is(client: Client, http: httpx.Client, kind: str) -> None:
    asset = commit(http, put(client, picture(kind=kind))).json()
    assert asset["mime"] == "image/jpeg"
    assert asset["key"].endswith(".jpg")


def film(folder: Path) -> bytes:
    return made.clip(folder / "clip.mp4").read_bytes()


def song(folder: Path) -> bytes:
    return made.wav(folder / "tone.wav", made.tone(0.5)).read_bytes()


def huge(folder: Path) -> bytes:
    return made.png_header(folder / "huge.png", 10_000, 5_001).read_bytes()


def noise(_folder: Path) -> bytes:
    return b"\x07scribble" * 500


def cut(_folder: Path) -> bytes:
    return picture(400, 300, kind="JPEG")[:-1_000]


def text(_folder: Path) -> bytes:
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"


def page(_folder: Path) -> bytes:
    return b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"


def bare_header(_folder: Path) -> bytes:
    return b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("kind", "mime", "make", "symbol"),
    [
        ("image", "image/png", film, "KIND_MISMATCH"),
        ("image", "image/png", song, "KIND_MISMATCH"),
        ("image", "image/png", huge, "IMAGE_TOO_LARGE"),
        ("image", "image/png", noise, "IMAGE_UNREADABLE"),
        ("image", "image/jpeg", cut, "IMAGE_UNREADABLE"),
        ("image", "image/png", page, "IMAGE_UNREADABLE"),
        ("image", "image/png", bare_header, "IMAGE_UNREADABLE"),
        ("audio", "audio/mpeg", film, "KIND_MISMATCH"),
        ("audio", "audio/mpeg", lambda _folder: picture(), "KIND_MISMATCH"),
        ("audio", "audio/mpeg", noise, "AUDIO_UNREADABLE"),
        ("audio", "audio/mpeg", text, "AUDIO_UNREADABLE"),
        ("video", "video/mp4", lambda _folder: picture(), "KIND_MISMATCH"),
        ("video", "video/mp4", noise, "VIDEO_UNREADABLE"),
        ("video", "video/mp4", text, "VIDEO_UNREADABLE"),
    ],
)
def test_what_is_not_what_it_says_is_refused_and_nothing_is_kept(
    client: Client,
    http: httpx.Client,
    traces: Traces,
    tmp_path: Path,
    *,
    kind: str,
    mime: str,
    make: Callable[[Path], bytes],
    symbol: str,
) -> None:
    refused(http, traces, put(client, make(tmp_path), kind, mime), symbol)


def test_a_recording_over_the_limit_is_refused(
    client: Client, http: httpx.Client, traces: Traces, tmp_path: Path
) -> None:
    silence = ("-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "181", "-c:a", "libopus", "-b:a", "6k")
    long = made.run(*silence, tmp_path / "long.ogg").read_bytes()
    refused(http, traces, put(client, long, "audio", "audio/ogg"), "AUDIO_TOO_LONG")


def test_a_recording_of_silence_is_kept_and_said_to_be_silent(
    client: Client, http: httpx.Client, tmp_path: Path
) -> None:
    silent = made.wav(tmp_path / "silent.wav", 0 * made.tone(1.0)).read_bytes()
    asset = commit(http, put(client, silent, "audio", "audio/wav")).json()
    assert asset["silent"] is True
    assert asset["duration"] == 1.0


def test_a_phone_photo_is_stored_upright_and_says_nothing_about_its_maker(
    client: Client, http: httpx.Client, traces: Traces
) -> None:
    asset = commit(http, put(client, phone_photo())).json()
    assert (asset["width"], asset["height"], asset["mime"]) == (3000, 4000, "image/jpeg")
    stored = traces.read(asset["key"])
    assert b"Exif" not in stored
    assert b"PhoneMaker" not in stored
    with Image.open(io.BytesIO(stored)) as image:
        assert not image.getexif()
        assert image.size == (3000, 4000)
        left, _, right = (image.getpixel((x, 100)) for x in (100, 1500, 2900))
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        assert right[0] > 150 > left[0], "the red corner is at the top right, as the child held it"


def phone_photo() -> bytes:
    """Twelve megapixels on their side, with the camera's name, the place and a comment inside."""
    image = Image.new("RGB", (4000, 3000), "#205020")
    image.paste("#d03030", (0, 0, 1000, 750))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "PhoneMaker"
    exif.get_ifd(0x8825).update({1: "N", 2: (31.0, 13.0, 49.0), 3: "E", 4: (121.0, 28.0, 25.0)})
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, comment=b"PhoneMaker", quality=80)
    return file.getvalue()


def test_studio_quality_sound_goes_through(client: Client, http: httpx.Client, tmp_path: Path) -> None:
    stereo = ("-f", "lavfi", "-i", "sine=440:d=2", "-ac", "2", "-ar", "48000", "-c:a", "flac", "-sample_fmt", "s32")
    flac = made.run(*stereo, tmp_path / "speech.flac").read_bytes()
    asset = commit(http, put(client, flac, "audio", "audio/flac")).json()
    assert (asset["mime"], asset["silent"]) == ("audio/flac", False)
    assert asset["duration"] == pytest.approx(2.0, abs=0.05)


def test_a_film_is_kept_with_its_measures(client: Client, http: httpx.Client, tmp_path: Path) -> None:
    asset = commit(http, put(client, film(tmp_path), "video", "video/mp4")).json()
    assert (asset["kind"], asset["width"], asset["height"]) == ("video", 64, 48)
    assert asset["duration"] == pytest.approx(1.0, abs=0.2)


def test_an_asset_can_be_read_through_its_address(client: Client, http: httpx.Client, traces: Traces) -> None:
    asset = commit(http, put(client, picture())).json()
    answer = client._bucket.get(asset["url"])
    assert answer.content == traces.read(asset["key"])
    assert answer.headers["content-type"] == asset["mime"]
    assert client._bucket.get(asset["url"].partition("?")[0]).status_code >= 400


def test_a_commit_that_could_not_be_stored_works_the_next_time(
    client: Client, http: httpx.Client, traces: Traces, product: Product
) -> None:
    body = put(client, picture())
    product.studio.client.admin.command(
        {
            "configureFailPoint": "failCommand",
            "mode": {"times": 1},
            "data": {"failCommands": ["findAndModify"], "errorCode": 1, "appName": "huaban"},
        }
    )
    problem_of(commit(http, body), "INTERNAL")
    asset = commit(http, body).json()
    assert traces.keys() == [asset["key"]], "the second try wrote over what the first one left"
    assert len(traces.documents("media_assets")) == 1


def test_a_photo_whose_removal_failed_is_removed_by_the_next_commit(
    client: Client, http: httpx.Client, traces: Traces, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = put(client, picture())

    def away(_key: str) -> None:
        raise StoreUnavailable("HTTP 500")

    monkeypatch.setattr(product.studio.objects, "delete", away)
    for _ in range(2):
        problem_of(commit(http, body), "STORE_UNAVAILABLE")
        assert traces.keys().count(body["key"]) == 1
    monkeypatch.undo()
    asset = commit(http, body).json()
    assert traces.keys() == [asset["key"]]


@pytest.mark.parametrize(
    ("kind", "mime", "ending"),
    [("audio", "audio/mp4", "m4a"), ("audio", "audio/webm", "webm"), ("video", "video/mp4", "mp4")],
)
def test_recordings_and_films_say_nothing_about_their_maker(
    client: Client, http: httpx.Client, traces: Traces, tmp_path: Path, *, kind: str, mime: str, ending: str
) -> None:
    picture_too = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=1") if kind == "video" else ()
    told = ("-metadata", "title=PhoneMaker", "-metadata", "location=+31.2304+121.4737/")
    sent = made.run("-f", "lavfi", "-i", "sine=d=1", *picture_too, *told, tmp_path / f"sent.{ending}").read_bytes()
    assert b"PhoneMaker" in sent
    asset = commit(http, put(client, sent, kind, mime)).json()
    assert asset["duration"] == pytest.approx(1.0, abs=0.1)
    assert traces.keys() == [asset["key"]]
    stored = traces.read(asset["key"])
    assert b"PhoneMaker" not in stored
    assert b"+31.2304" not in stored


def test_a_recording_that_holds_nothing_is_silent(
    client: Client, http: httpx.Client, traces: Traces, tmp_path: Path
) -> None:
    whole = made.run(
        *("-f", "lavfi", "-i", "sine=d=1", "-metadata", "title=PhoneMaker", "-c:a", "libopus"),
        # As browsers write it, who do not know at the beginning how long it will be.
        *("-live", "1"),
        tmp_path / "whole.webm",
    ).read_bytes()
    header = whole[: whole.index(bytes.fromhex("1f43b675")) + 12]  # up to the first sound
    asset = commit(http, put(client, header, "audio", "audio/webm")).json()
    assert (asset["silent"], asset["duration"]) == (True, 0.0)
    assert b"PhoneMaker" not in traces.read(asset["key"])


def test_only_so_many_uploads_are_decoded_at_once(
    client: Client, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, running, most = threading.Lock(), [0], [0]
    check = intake._CHECKS[Kind.IMAGE]

    def counted(*arguments: Any) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        found = check(*arguments)
        with lock:
            running[0] -= 1
        return found

    monkeypatch.setitem(intake._CHECKS, Kind.IMAGE, counted)
    bodies = [put(client, picture(1200, 900)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: commit(http, body), bodies))
    assert {answer.status_code for answer in answers} == {201}
    assert most[0] <= intake.CHECKS_AT_ONCE
