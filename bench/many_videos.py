"""Two thousand films in the making at once at a service, all by one worker process of eight threads.

The service is Ark's simulator, a process of its own that is talked to over HTTP. It is asked as often as Ark lets an
account ask, 600 times a minute. At that pace two thousand are in the making at once where each takes 200 seconds (of
films that take a minute there are never more than 600), and from then on as many come home as are asked for.

What a film needs from its words to the gallery is measured: the drawing, the request, looks, the download, its still,
the bucket. Stories and drawings are read beforehand and not here: that is done on this machine, on the same few cores.

A look that finds a film has to wait for its turn, because the service may be asked only so often. That is no lag of
ours: the lag of a capture counts from the moment at which the next look was allowed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
import msgspec
from PIL import Image
from pymongo.client_session import ClientSession

from app.stack import servers
from app.stack.ports import free_port
from bench.figures import Figure, cpu_s, rss_bytes
from bench.programs import running
from broker import run_in_transaction
from studio import films
from studio.artworks import Artwork
from studio.jobs import Job
from studio.media import ffmpeg
from studio.media_assets import Kind
from studio.pipelines import CAPTURE_VIDEO, POLL_VIDEO, SUBMIT_VIDEO, JobKind
from studio.providers import Capability, Words
from studio.providers.cards import load
from studio.records import from_document
from studio.studio import Studio
from tests.providers.ark import PREFIX

AT_ONCE = 2_000
PER_MINUTE = 600
GENERATION_S = 60.0 * AT_ONCE / PER_MINUTE
VIDEOS = AT_ONCE * 3 // 2
OWNERS = 200
EARLIER_ONES = 3
"""How many are enough to know how long films take at this service."""
BEGINS_IN_S = 5.0
PATIENCE_S = 1_800.0
MEGABYTE = 1_000_000
STEPS = [step.name for step in (SUBMIT_VIDEO, POLL_VIDEO, CAPTURE_VIDEO)]


class Video(NamedTuple):
    """What became of one, in seconds since the epoch."""

    due_at: float
    """When its step was ready that asks for it."""
    accepted_at: float
    ready_at: float
    looked_at: list[float]
    hung_at: float
    """In the gallery."""

    def lag_s(self, look_every_s: float) -> float:
        """From when it could be seen at the service, which may be asked only so often, until it was in the gallery."""
        before = [look for look in self.looked_at if look < self.ready_at]
        return self.hung_at - max(self.ready_at, max(before, default=0.0) + look_every_s)


class Use(NamedTuple):
    """What the worker uses, read every second."""

    rss_bytes: list[int]
    cpu_s: float


def measure() -> list[Figure]:
    with TemporaryDirectory(prefix="huaban-bench-") as name, servers(Path(name) / "servers") as stack:
        folder, port = Path(name), free_port()
        os.environ.update(stack.env, OWNER_KEY="bench", LOG_LEVEL="ERROR", VIDEO_PROVIDER="ark")
        os.environ.update(ARK_BASE_URL=f"http://127.0.0.1:{port}{PREFIX}", ARK_API_KEY="test-key")
        # Never in the way, as the films are asked for in an even pace anyway; yet looked after, as in production.
        os.environ.update(ARK_VIDEO_CONCURRENT=str(2 * AT_ONCE), ARK_VIDEO_PER_MINUTE=str(2 * PER_MINUTE))
        with _ark(folder, port) as url:
            # The settings are read when the actors are imported.
            from actors import studio

            studio.prepare()
            return _measure(studio, folder, url)


def _measure(studio: Studio, folder: Path, url: str) -> list[Figure]:
    artworks = _artworks(studio, folder, VIDEOS)
    for artwork in artworks:
        _order(studio, artwork)
    _remember_earlier_ones(studio)
    due_at = _send(studio)
    with _worker(folder) as pid, _using(pid) as use:
        _until(lambda: _unfinished(studio) == 0)
    tasks = httpx.get(f"{url}/bench/tasks", timeout=60).json()
    return _figures(studio, due_at, tasks, use())


def _figures(
    studio: Studio, due_at: dict[str, float], tasks: dict[str, tuple[float, float, list[float]]], use: Use
) -> list[Figure]:
    videos, lost = [], 0
    hung = {each["source"]: each["created_at"] for each in studio.database["media_assets"].find({"kind": "video"})}
    for job in studio.database["jobs"].find({"_id": {"$in": list(due_at)}}):
        if job["_id"] not in hung:
            lost += 1
            continue
        videos.append(
            Video(due_at[job["_id"]], *tasks[job["submissions"][-1]["provider_id"]], hung[job["_id"]].timestamp())
        )
    every_s = load("ark", studio.settings).offer(Capability.ANIMATOR).look_every_s
    submits = sorted(video.accepted_at - video.due_at for video in videos)
    captures = sorted(video.lag_s(every_s) for video in videos)
    waits = sorted(video.hung_at - video.ready_at for video in videos)
    looks = [look for video in videos for look in video.looked_at]
    took_s = max(video.hung_at for video in videos) - min(due_at.values())
    gaps = [
        after - before for video in videos for before, after in zip(video.looked_at, video.looked_at[1:], strict=False)
    ]
    warm = use.rss_bytes[len(use.rss_bytes) // 4 :]
    return [
        Figure("videos in the making at once, at most", _at_once(videos), "videos", at_least=AT_ONCE),
        Figure("  submitted after they could be, median", _percentile(submits, 50), "s"),
        Figure("  submitted after they could be, p99", _percentile(submits, 99), "s", 2),
        Figure("  in the gallery after the next look was allowed, median", _percentile(captures, 50), "s"),
        Figure("  in the gallery after the next look was allowed, p99", _percentile(captures, 99), "s", 2),
        Figure("  in the gallery after they were ready, p99", _percentile(waits, 99), "s"),
        Figure("  looks at a video", len(looks) / len(videos), "looks"),
        Figure("  looks in a minute, at most", _busiest_minute(looks), "looks"),
        Figure("  looks sooner than documented", sum(gap < every_s - 0.01 for gap in gaps), "looks", 0),
        Figure("  memory of the worker, mean", fmean(warm) / MEGABYTE, "MB"),
        Figure("  memory of the worker, least to most", (max(warm) - min(warm)) / MEGABYTE, "MB", 40),
        Figure("  CPU of the worker for a video", 1000 * use.cpu_s / len(videos), "ms"),
        Figure("  cores that the worker used", use.cpu_s / took_s, "cores"),
        Figure("  videos not finished", lost, "videos", 0),
        Figure("  videos asked for more than once", len(tasks) - len(videos), "videos", 0),
    ]


def _at_once(videos: list[Video]) -> int:
    """Of those that the service was at, and those of which nobody had heard yet that they are ready."""
    changes = sorted([(v.accepted_at, 1) for v in videos] + [(max(v.ready_at, v.looked_at[-1]), -1) for v in videos])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def _busiest_minute(moments: list[float]) -> int:
    counts: dict[int, int] = {}
    for moment in moments:
        counts[int(moment // 60)] = counts.get(int(moment // 60), 0) + 1
    return max(counts.values())


def _percentile(values: list[float], percent: int) -> float:
    return values[min(len(values) * percent // 100, len(values) - 1)]


def _artworks(studio: Studio, folder: Path, count: int) -> list[Artwork]:
    """Artworks with a drawing and the words that their films are made of."""
    drawing = folder / "drawing.png"
    Image.radial_gradient("L").resize((640, 480)).convert("RGB").save(drawing)
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
                "width": 640,
                "height": 480,
            }
        )
    return [_artwork(studio, f"owner-{number % OWNERS}") for number in range(count)]


def _artwork(studio: Studio, owner: str) -> Artwork:
    artwork = studio.artworks.create(
        owner, title="Bench", description="A sun rises.", cover_asset_id=f"{owner}-drawing", audio_asset_id=None
    )
    words = Words("A sun rises.", "A sun rises slowly.", "en", "bench")
    run_in_transaction(studio.client, lambda session: studio.artworks.set_words(artwork, words, session=session))
    return artwork


def _order(studio: Studio, artwork: Artwork) -> None:
    """A job for a film that begins with asking for it, and ends in the gallery."""

    def store(session: ClientSession) -> None:
        job = films.order(studio, artwork, JobKind.VIDEO, request_id="bench", session=session)
        plan = {"$set": {"steps": STEPS, "step": STEPS[0]}}
        studio.database["jobs"].update_one({"_id": job.id}, plan, session=session)

    run_in_transaction(studio.client, store)


def _remember_earlier_ones(studio: Studio) -> None:
    job = from_document(studio.database["jobs"].find_one({}) or {}, Job)
    for _ in range(EARLIER_ONES):
        studio.step_times.note(msgspec.structs.replace(job, step=POLL_VIDEO.name), seconds=GENERATION_S)
    studio.step_times.write()


def _send(studio: Studio) -> dict[str, float]:
    """Have the jobs that wait begin one after the other; when each is due."""
    # Importing the actors reads the settings, which this bench has to make first.
    from actors import send_step

    waiting = [job["_id"] for job in studio.database["jobs"].find({"status": "queued"}, {"_id": 1})]
    begins_at = time.time() + BEGINS_IN_S + 0.005 * len(waiting)
    due_at = {job_id: begins_at + number * 60.0 / PER_MINUTE for number, job_id in enumerate(waiting)}
    for job_id, due in due_at.items():
        send_step(_loaded(studio, job_id), after_s=due - time.time())
    return due_at


def _loaded(studio: Studio, job_id: str) -> Job:
    job = studio.jobs.load(job_id)
    if job is None:
        raise LookupError(job_id)
    return job


def _unfinished(studio: Studio) -> int:
    return studio.database["jobs"].count_documents({"live": True})


@contextmanager
def _ark(folder: Path, port: int) -> Iterator[str]:
    film, home = folder / "clip.mp4", folder / "ark"
    home.mkdir()
    source = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=24:duration=5"]
    ffmpeg.run([*source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(film)], timeout_s=60)
    command = [sys.executable, "-m", "bench.busy_ark", "--port", str(port)]
    command += ["--generation-s", str(GENERATION_S), "--film", str(film)]
    with running(command, home, {"PYTHONPATH": str(Path.cwd())}):
        url = f"http://127.0.0.1:{port}"
        _until(partial(_answers, url))
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/bench/tasks").is_success
    except httpx.ConnectError:
        return False


@contextmanager
def _worker(folder: Path) -> Iterator[int]:
    home = folder / "worker"
    home.mkdir()
    command = [sys.executable, "-m", "dramatiq", "actors", "--processes", "1", "--threads", "8", "--skip-logging"]
    with running(command, home, {"PYTHONPATH": str(Path.cwd())}) as worker:
        yield worker.pid


@contextmanager
def _using(pid: int) -> Iterator[Callable[[], Use]]:
    """Read what a process and its children use until the end of the block."""
    is_over, memory, before_s = threading.Event(), list[int](), cpu_s(pid)
    used = Use(memory, 0.0)

    def read() -> None:
        nonlocal used
        while not is_over.wait(1.0):
            memory.append(rss_bytes(pid))
            used = Use(memory, cpu_s(pid) - before_s)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: used
    finally:
        is_over.set()
        reader.join()


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the bench did not come to an end")
        time.sleep(0.5)
