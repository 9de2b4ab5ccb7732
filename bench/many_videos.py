"""Two thousand films in the making at once, held by one worker process of eight threads, and all of them finished."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from pymongo.client_session import ClientSession

from app.stack import servers
from bench.figures import Figure, rss_bytes
from bench.slow_animator import FOLDER
from broker import run_in_transaction
from studio import films
from studio.artworks import Artwork
from studio.media import ffmpeg
from studio.media_assets import Kind
from studio.pipelines import JobKind
from studio.studio import Studio

VIDEOS = 2_000
OWNERS = 200
PATIENCE_S = 1_800.0
MEGABYTE = 1_000_000


def measure() -> list[Figure]:
    with TemporaryDirectory(prefix="huaban-bench-") as name, servers(Path(name) / "servers") as running:
        folder = Path(name)
        os.environ.update(running.env, VIDEO_PROVIDER="slow", OWNER_KEY="bench", LOG_LEVEL="ERROR")
        os.environ[FOLDER] = str(folder)
        _make_clip(folder / "clip.mp4")
        # The settings are read when the actors are imported.
        from bench.slow_worker import studio

        studio.prepare()
        _order(studio, folder)
        command = [sys.executable, "-m", "dramatiq", "bench.slow_worker", "--processes", "1", "--threads", "8"]
        with subprocess.Popen([*command, "--skip-logging"]) as worker:
            try:
                return _watch(studio, folder, worker.pid)
            finally:
                worker.terminate()


def _watch(studio: Studio, folder: Path, pid: int) -> list[Figure]:
    jobs = studio.database["jobs"]
    in_making = {"step": "poll_video", "submissions.state": "accepted"}
    held_s = _until(lambda: jobs.count_documents(in_making) >= VIDEOS)
    memory = rss_bytes(pid)
    (folder / "finished").touch()
    finished_s = _until(lambda: jobs.count_documents({"live": True}) == 0)
    succeeded = jobs.count_documents({"status": "succeeded"})
    films = studio.database["media_assets"].count_documents({"kind": "video"})
    return [
        Figure("videos in the making at once", VIDEOS, "videos"),
        Figure("  until all were submitted", held_s, "s"),
        Figure("  memory of the worker then, all processes", memory / MEGABYTE, "MB"),
        Figure("  from the provider's end to the last film in the gallery", finished_s, "s"),
        Figure("  videos not finished", VIDEOS - succeeded, "videos", 0),
        Figure("  films too many or too few", abs(films - VIDEOS), "films", 0),
    ]


def _order(studio: Studio, folder: Path) -> None:
    """Artworks with a small drawing each, and a job for every one of them."""
    drawing = folder / "drawing.png"
    Image.radial_gradient("L").resize((96, 72)).convert("RGB").save(drawing)
    for owner in (f"owner-{number}" for number in range(OWNERS)):
        key = f"clients/{owner}/drawing.png"
        stored = studio.objects.upload(drawing, key, mime="image/png")
        studio.media_assets.create(
            {
                "_id": f"{owner}-drawing",
                "owner": owner,
                "artwork_id": "bench",
                "kind": Kind.IMAGE,
                "key": key,
                "mime": "image/png",
                "size": stored.size,
                "etag": stored.etag,
                "source": key,
            }
        )
        for _ in range(VIDEOS // OWNERS):
            artwork = studio.artworks.create(
                owner, title="Bench", description="A sun rises.", cover_asset_id=f"{owner}-drawing", audio_asset_id=None
            )
            run_in_transaction(studio.client, partial(_order_one, studio, artwork))


def _order_one(studio: Studio, artwork: Artwork, session: ClientSession) -> None:
    # Importing the actors reads the settings, which this bench has to make first.
    from actors import send_step

    send_step(films.order(studio, artwork, JobKind.VIDEO, request_id="bench", session=session))


def _make_clip(path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=160x90:rate=10:duration=1"]
    ffmpeg.run([*source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)], timeout_s=60)


def _until(is_so: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError("the bench did not come to an end")
        time.sleep(0.2)
    return time.monotonic() - began
