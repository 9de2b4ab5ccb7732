"""What `huaban doctor` looks at. A check returns what it found, or raises with how to mend it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
from botocore.exceptions import ClientError
from pymongo.errors import PyMongoError

from app.asgi import Receive, Scope, Send
from app.cli.reading import read_settings, require_owner_key, require_token_secrets
from app.front import ObjectFront
from app.stack import StackError, mongod, outside, rclone
from app.stack.folder import keys
from app.stack.ports import free_port
from app.stack.programs import in_wheel
from app.stack.supervisor import Part, Supervisor
from studio.media import ffmpeg
from studio.objects import ObjectStore, StoreUnavailable
from studio.settings import Settings
from studio.studio import Studio

OLDEST_PYTHON = (3, 11)
DISK_NEEDED_GB = 2
KINDS_OF_WORK = ("VIDEO", "LLM", "ASR", "IMAGE", "TTS")


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's report."""

    check: str
    ok: bool
    found: str
    mend: str = ""


def examine(data: Path) -> Iterator[Finding]:
    """Run every check, one finding each. Nothing is written outside a temporary folder and the object store."""
    yield _finding("Python", python_version)
    yield _finding("Disk", lambda: disk_space(data))
    yield _finding("FFmpeg", ffmpeg_frame)
    yield _finding("Chinese font", chinese_font)
    yield _finding("Settings", settings_parse)
    yield _finding("Owner key", owner_key)
    yield _finding("Providers", providers)
    yield _finding("MongoDB", mongodb)
    yield _finding("Object store", object_store)


def python_version() -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        raise StackError(f"Python {found} is too old.", "Use Python 3.11 or newer.")
    return found


def disk_space(data: Path) -> str:
    folder = next(parent for parent in (data.absolute(), *data.absolute().parents) if parent.exists())
    if not os.access(folder, os.W_OK):
        raise StackError(f"{folder} cannot be written.", "Choose another folder with --data (HUABAN_DATA).")
    free = shutil.disk_usage(folder).free / 1e9
    if free < DISK_NEEDED_GB:
        raise StackError(
            f"Only {free:.1f} GB are free at {folder}.",
            f"Free {DISK_NEEDED_GB} GB, or choose another folder with --data (HUABAN_DATA).",
        )
    return f"{free:.0f} GB free at {folder}"


def ffmpeg_frame() -> str:
    mend = "Run: pip install imageio-ffmpeg, or set FFMPEG to an FFmpeg of your own with libx264."
    try:
        with TemporaryDirectory(prefix="huaban-") as folder:
            film = Path(folder) / "frame.mp4"
            colour = ["-f", "lavfi", "-i", "color=c=white:s=64x64:r=1:d=1"]
            ffmpeg.run([*colour, "-frames:v", "1", "-c:v", "libx264", str(film)], timeout_s=30)
            size = film.stat().st_size
    except (ffmpeg.FFmpegMissing, ffmpeg.FFmpegFailed, OSError) as error:
        raise StackError(f"FFmpeg made no film: {error}.", mend) from error
    return f"{ffmpeg.find()} (one H.264 frame, {size} bytes)"


def chinese_font() -> str:
    font = in_wheel("pylopdf-fonts-zh-cn", "NotoSansSC-Regular.otf")
    if font is None:
        raise StackError("The font for Chinese titles is missing.", "Run: pip install pylopdf-fonts-zh-cn==0.1.1")
    return f"Noto Sans SC {version('pylopdf-fonts-zh-cn')}"


def settings_parse() -> str:
    require_token_secrets(read_settings())
    return "valid"


def owner_key() -> str:
    settings = read_settings()
    if settings.owner_key.get_secret_value():
        return "set"
    if os.environ.get("MONGODB_URI") or os.environ.get("S3_ENDPOINT"):
        require_owner_key(settings)
    return "the embedded stack makes its own; `huaban api` needs OWNER_KEY"


def providers() -> str:
    settings = read_settings()
    try:
        studio = Studio(settings)
    except ValueError as error:
        raise StackError(str(error), "Correct it in the environment or in .env; see docs/providers.md.") from error
    try:
        chosen = [f"{word} {', '.join(getattr(settings, f'{word.lower()}_provider'))}" for word in KINDS_OF_WORK]
        # The embedded MongoDB is not running while the doctor looks around.
        shut = _open_circuits(studio) if os.environ.get("MONGODB_URI") else []
    finally:
        studio.close()
    return "; ".join([*chosen, "no key is missing", *([f"do not answer now: {', '.join(shut)}"] if shut else [])])


def _open_circuits(studio: Studio) -> list[str]:
    """The accounts that are left alone for a while, because their provider was away."""
    try:
        return sorted({gate.id.rpartition("/")[0] for gate in studio.gates.list_all() if gate.is_open})
    except PyMongoError:
        return []  # the next line of the report says so


def mongodb() -> str:
    uri = os.environ.get("MONGODB_URI")
    if uri:
        asyncio.run(outside.require_mongodb(uri))
        return "the one in MONGODB_URI answers and has transactions"
    with TemporaryDirectory(prefix="huaban-") as folder:
        program = mongod.find(os.environ, links=Path(folder) / "lib")
        part = mongod.part(program, Path(folder) / "mongod", port=free_port(), environ=os.environ)
        took = asyncio.run(_while_serving(part, Path(folder), lambda: None))
    return f"embedded, primary of its replica set in {took:.1f} s ({program.path})"


def object_store() -> str:
    if os.environ.get("S3_ENDPOINT"):
        settings = Settings()
        asyncio.run(outside.require_s3(settings.s3_endpoint))
        round_trip(settings, fronted=settings.s3_front)
        return "the one in S3_ENDPOINT: put, get, range and delete work"
    with TemporaryDirectory(prefix="huaban-") as folder:
        made = keys(Path(folder))
        program = rclone.find(os.environ)
        part = rclone.part(
            program,
            Path(folder) / "objects",
            port=free_port(),
            bucket="huaban-doctor",
            access_key=made.s3_access_key_id,
            secret_key=made.s3_secret_access_key,
            environ=os.environ,
        )
        settings = Settings.model_validate(
            {
                "s3_endpoint": part.address,
                "s3_public_endpoint": part.address,
                "s3_bucket": "huaban-doctor",
                "s3_access_key_id": made.s3_access_key_id,
                "s3_secret_access_key": made.s3_secret_access_key,
            }
        )
        asyncio.run(_while_serving(part, Path(folder), lambda: round_trip(settings, fronted=True)))
    return f"embedded: put, get, range and delete work ({program})"


def round_trip(settings: Settings, *, fronted: bool) -> None:
    """Put, get, read a range and delete one small object. `fronted` sends the range through the web's own door."""
    mend = "Check S3_ENDPOINT, S3_BUCKET and the keys, and that they allow put, get and delete."
    try:
        store = ObjectStore(settings)
        store.ensure_bucket()
        _exercise(store, settings, fronted=fronted)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise StackError(f"The object store refuses what we do: {code}.", mend) from error
    except (StoreUnavailable, FileNotFoundError, httpx.HTTPError, ValueError) as error:
        raise StackError(f"The object store does not work: {error}.", mend) from error


def _exercise(store: ObjectStore, settings: Settings, *, fronted: bool) -> None:
    key, body = f"doctor/{time.time_ns()}.txt", b"0123456789"
    with TemporaryDirectory(prefix="huaban-") as folder:
        path = Path(folder) / "body.txt"
        path.write_bytes(body)
        store.upload(path, key, mime="text/plain")
    try:
        with store.local_copy(key) as copy:
            whole = copy.read_bytes()
        url = store.presign_get(key, mime="text/plain")
        last = asyncio.run(_range(url, "bytes=-3", settings, fronted=fronted))
    finally:
        store.delete(key)
    if (whole, last, store.head(key)) != (body, body[-3:], None):
        raise ValueError("it does not give back what it was given")


async def _range(url: str, wanted: str, settings: Settings, *, fronted: bool) -> bytes:
    front = ObjectFront(_nothing, upstream=settings.s3_endpoint, bucket=settings.s3_bucket, max_bytes=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(front) if fronted else None) as client:
        response = await client.get(url, headers={"Range": wanted})
    await front.aclose()
    if response.status_code != 206:
        raise ValueError(f"a range is answered with {response.status_code}")
    return response.content


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise LookupError("only the bucket is asked for here")


async def _while_serving(part: Part, folder: Path, look: Callable[[], None]) -> float:
    """Start a part, look, stop it; the seconds that it took to start. Raises StackError."""
    supervisor = Supervisor(folder / "logs", say=lambda _part, _line: None)
    began = time.monotonic()
    try:
        await supervisor.start(part)
        took = time.monotonic() - began
        await asyncio.to_thread(look)
    finally:
        await supervisor.stop(part)
    return took


def _finding(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, ok=True, found=look())
    except StackError as error:
        return Finding(check, ok=False, found=error.what, mend=error.mend)
    except Exception as error:  # noqa: BLE001 - the report goes on, whatever is broken
        return Finding(check, ok=False, found=f"{type(error).__name__}: {error}", mend="Please report this.")
