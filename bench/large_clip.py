"""A worker's memory while it captures a clip of half a gigabyte: fetched, told by a voice, looked at and stored."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from pymongo.client_session import ClientSession

from app.stack import servers
from bench.figures import Figure, rss_bytes
from broker import run_in_transaction
from studio import films
from studio.artworks import Artwork
from studio.media import ffmpeg
from studio.media_assets import Kind
from studio.pipelines import CAPTURE_VIDEO, JobKind
from studio.studio import Studio
from tests.providers.ark_simulator import ArkSimulator

MEGABYTE = 1_000_000
LARGE_BYTES = 500 * MEGABYTE
OWNER = "bench"
STORY_S = 8
NOISE = 30
"""Nothing makes it small: many bytes in few seconds."""
THREADS = 8
ROUNDS = 2
EVERY_S = 0.01
SETTLED_S = 1.0
PATIENCE_S = 120.0


def measure() -> list[Figure]:
    simulator = ArkSimulator()
    with (
        TemporaryDirectory(prefix="huaban-bench-") as name,
        servers(Path(name) / "servers") as running,
        simulator.running(),
    ):
        folder = Path(name)
        os.environ.update(running.env, **simulator.env(), VIDEO_PROVIDER="ark", OWNER_KEY="bench", LOG_LEVEL="ERROR")
        os.environ.update(VIDEO_MAX_BYTES=str(2 * LARGE_BYTES), PROVIDER_CARDS=str(folder))
        # Waiting for clips that are there is no part of this.
        (folder / "ark.toml").write_text("[animator]\nlook_every_s = 0.1\nper_minute = 6000\n", encoding="utf-8")
        small, large = (
            _clip(folder / "small.mp4", 0, "-t", "2"),
            _clip(folder / "large.mp4", NOISE, "-fs", str(LARGE_BYTES)),
        )
        # The settings are read when the actors are imported.
        from actors import studio

        studio.prepare()
        _upload(studio, "drawing", Kind.IMAGE, "image/png", _drawing(folder / "drawing.png"))
        _upload(studio, "voice", Kind.AUDIO, "audio/wav", _voice(folder / "voice.wav"))
        command = [sys.executable, "-m", "dramatiq", "actors", "--processes", "1", "--threads", str(THREADS)]
        with subprocess.Popen([*command, "--skip-logging"]) as worker:
            try:
                simulator.film = small.read_bytes()
                # What a worker loads with its first films it keeps; each of its threads may get one.
                for _ in range(THREADS):
                    _captured(studio, worker.pid, "voice")
                beside = _captured(studio, worker.pid, "voice")
                simulator.film = large.read_bytes()
                silent = max(_captured(studio, worker.pid, None) for _ in range(ROUNDS))
                told = max(_captured(studio, worker.pid, "voice") for _ in range(ROUNDS))
            finally:
                worker.terminate()
    return [
        Figure("clip", LARGE_BYTES / MEGABYTE, "MB"),
        Figure("  memory of the worker that it takes, all processes", silent / MEGABYTE, "MB", 20),
        Figure("  told by a voice", told / MEGABYTE, "MB", 20),
        Figure("  beside it a clip of two seconds", beside / MEGABYTE, "MB"),
    ]


def _captured(studio: Studio, pid: int, voice: str | None) -> int:
    """Order a film, and see it into the gallery: by how many bytes the worker's memory grew at most in its capture."""
    artwork = studio.artworks.create(
        OWNER, title="Bench", description="A sun rises.", cover_asset_id="drawing", audio_asset_id=voice
    )
    time.sleep(SETTLED_S)
    before = most = rss_bytes(pid)
    job_id = run_in_transaction(studio.client, partial(_order, studio, artwork))
    jobs, began = studio.database["jobs"], time.monotonic()
    while (job := jobs.find_one({"_id": job_id})) and job["live"]:
        if job["step"] == CAPTURE_VIDEO.name:
            most = max(most, rss_bytes(pid))
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError("the bench did not come to an end")
        time.sleep(EVERY_S)
    if not job or job["status"] != "succeeded":
        raise RuntimeError(f"there is no film: {job}")
    return most - before


def _order(studio: Studio, artwork: Artwork, session: ClientSession) -> str:
    # Importing the actors reads the settings, which this bench has to make first.
    from actors import send_step

    job = films.order(studio, artwork, JobKind.VIDEO, request_id="bench", session=session)
    send_step(job)
    return job.id


def _upload(studio: Studio, name: str, kind: Kind, mime: str, path: Path) -> None:
    key = f"clients/{OWNER}/{path.name}"
    stored = studio.objects.upload(path, key, mime=mime)
    studio.media_assets.create(
        {
            "_id": name,
            "owner": OWNER,
            "artwork_id": "bench",
            "kind": kind,
            "key": key,
            "mime": mime,
            "size": stored.size,
            "etag": stored.etag,
            "source": key,
        }
    )


def _drawing(path: Path) -> Path:
    Image.radial_gradient("L").resize((640, 480)).convert("RGB").save(path)
    return path


def _voice(path: Path) -> Path:
    ffmpeg.run(["-f", "lavfi", "-i", f"sine=duration={STORY_S}", str(path)], timeout_s=60)
    return path


def _clip(path: Path, noise: int, *until: str) -> Path:
    pictures = f"testsrc2=size=1920x1080:rate=24,noise=alls={noise}:allf=t"
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "20", "-g", "24", "-pix_fmt", "yuv420p"]
    ffmpeg.run(["-f", "lavfi", "-i", pictures, *coded, *until, str(path)], timeout_s=600)
    return path
