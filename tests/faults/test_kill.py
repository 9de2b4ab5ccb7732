"""Each step is killed at each of its points, and still everything is there exactly once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app import samples
from app.client import Client, Json
from bench.figures import family
from studio.pipelines import PLANS, JobKind
from tests.product import Product, new_artwork
from tests.waiting import eventually

POINTS = ("before", "worked", "committed")
CALL = {"call.intended", "call.accepted"}
CANCEL = {f"cancel.{point}" for point in ("rested", "told", "committed")}
STEPS = [step.name for step in PLANS[JobKind.VIDEO]]
STEP_POINTS = {f"{step}.{point}" for step in STEPS for point in POINTS}


# The stock command line: one process of two threads.
WORKER = [
    sys.executable, "-m", "dramatiq", "tests.worker", "--processes", "1", "--threads", "2", "--skip-logging",
]  # fmt: skip


@contextmanager
def running(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture
def graves(tmp_path: Path) -> Path:
    folder = tmp_path / "graves"
    folder.mkdir()
    return folder


def run_until_it_ends(
    client: Client,
    product: Product,
    job: Json,
    graves: Path,
    *,
    spared: set[str],
    meanwhile: Callable[[], object] = lambda: None,
) -> set[str]:
    """Let workers be killed at every point but the spared ones until the job has ended; where they died."""
    for point in spared:
        (graves / point).touch()
    command = [sys.executable, "-m", "tests.faults.deadly"]
    with running(command, {**product.env, "GRAVES": str(graves)}, graves.parent / "worker.log"):
        meanwhile()
        eventually(lambda: client.get(f"/generation/jobs/{job['jobId']}")["finishedAt"], limit_s=120)
    return {path.name for path in graves.iterdir()} - spared


def test_a_film_is_made_exactly_once_however_often_its_workers_are_killed(
    client: Client, product: Product, drawing: Path, graves: Path
) -> None:
    artwork = told_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    deaths = run_until_it_ends(client, product, job, graves, spared=CALL)
    assert client.get(f"/generation/jobs/{job['jobId']}")["error"] is None
    assert deaths == STEP_POINTS, "every point of every step was met"
    assert_made_once(client, product, job)


def test_a_paid_call_is_made_once_when_its_workers_die_around_it(
    client: Client, product: Product, drawing: Path, graves: Path
) -> None:
    artwork = told_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    assert run_until_it_ends(client, product, job, graves, spared=STEP_POINTS) == CALL
    assert_made_once(client, product, job)


def test_a_cancel_comes_to_its_end_however_often_its_workers_are_killed(
    client: Client, product: Product, drawing: Path, graves: Path
) -> None:
    product.service.behave("never")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})

    def cancel() -> None:
        next(event for event in client.watch(job["jobId"], patience_s=60) if event["step"] == "poll_video")
        client.post(f"/generation/jobs/{job['jobId']}/cancel")

    spared = STEP_POINTS | CALL
    assert run_until_it_ends(client, product, job, graves, spared=spared, meanwhile=cancel) == CANCEL
    view = client.get(f"/generation/jobs/{job['jobId']}")
    assert (view["status"], view["billing"]) == ("canceled", "possible")
    assert len(set(product.service.calls("cancels"))) == 1
    told = product.studio.database["events"].find({"job_id": job["jobId"]}).sort("seq", 1)
    assert [event["data"]["status"] for event in told][-2:] == ["canceling", "canceled"]
    messages = product.studio.database["queue_default"].find({"msg.args": job["jobId"]})
    assert {message["state"] for message in messages} == {"DONE"}


def test_a_film_whose_worker_is_killed_while_ffmpeg_runs_is_rendered_again(
    client: Client, product: Product, drawing: Path, tmp_path: Path
) -> None:
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    env = {**product.env, "VIDEO_PROVIDER": "local"}
    log = tmp_path / "worker.log"
    with running(WORKER, env, log) as process:
        eventually(lambda: client.get(f"/generation/jobs/{job['jobId']}")["steps"][2]["progress"] > 0, limit_s=60)
        for pid in list(family(process.pid))[1:]:
            if "standby.py" not in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        process.wait()
    with running(WORKER, env, log):
        assert [event["status"] for event in client.watch(job["jobId"], patience_s=90)][-1] == "succeeded"
    objects = keys_of(product, job)
    assert sorted(key.split("/")[4] for key in objects) == ["original", "thumb", "thumb", "video"], "no render is left"


def told_artwork(client: Client, drawing: Path) -> Json:
    """An artwork with a recording, so that no step is left out."""
    voice = client.upload(Path(samples.__file__).parent / "story.ogg", "audio")
    return new_artwork(client, drawing, audioAssetId=voice["mediaAssetId"])


def assert_made_once(client: Client, product: Product, job: Json) -> None:
    database, job_id = product.studio.database, job["jobId"]
    assert client.get(f"/generation/jobs/{job_id}")["status"] == "succeeded"
    assert len(product.service.calls("submits")) == 1, "the paid call"
    artwork = client.get(f"/artworks/{job['artworkId']}")
    assert [version["version"] for version in artwork["versions"]] == [1]
    assert database["media_assets"].count_documents({"source": job_id}) == 1
    assert database["ai_analyses"].count_documents({"_id": job["artworkId"]}) == 1
    stored = database["jobs"].find_one({"_id": job_id})
    assert stored is not None
    assert [submission["state"] for submission in stored["submissions"]] == ["accepted"]
    messages = database["queue_default"].find({"msg.args": job_id})
    assert Counter((message["msg"]["actor_name"], message["state"]) for message in messages) == Counter(
        {(step, "DONE"): 1 for step in STEPS}
    )
    events = list(database["events"].find({"job_id": job_id}).sort("seq", 1))
    entered = [event["data"]["step"] for event in events if event["data"]["stepProgress"] == 0]
    assert list(dict.fromkeys(entered)) == STEPS
    assert [event["data"]["status"] for event in events].count("succeeded") == 1
    # One object of each kind, the film's still too. The small copy of the drawing is made when nobody waits.
    kinds = ["audio", "original", "thumb", "thumb", "video"]
    eventually(lambda: sorted(key.split("/")[4] for key in keys_of(product, job)) == kinds)
    numbers = [event["seq"] for event in database["events"].find({"owner": stored["owner"]}).sort("seq", 1)]
    assert numbers == list(range(1, len(numbers) + 1)), "no gap in the log"


def keys_of(product: Product, job: Json) -> list[str]:
    """The keys of all objects of a job's owner, whoever made them."""
    stored = product.studio.database["jobs"].find_one({"_id": job["jobId"]})
    assert stored is not None
    client = product.studio.objects._client
    listed = client.list_objects_v2(Bucket=product.studio.objects.bucket, Prefix=f"clients/{stored['owner']}/")
    return [found["Key"] for found in listed.get("Contents", [])]
