from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from studio import step_times
from studio.jobs import Job, JobStatus
from studio.pipelines import ANALYZE, PLANS, POLL_VIDEO, SUBMIT_VIDEO, JobKind
from studio.providers import AnimationRequest
from studio.step_times import KEEP, History, StepTime
from studio.submissions import Submission, SubmissionState
from tests.product import Product, forget_step_times
from tests.waiting import eventually

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SUBMISSION = Submission(
    id="key",
    provider="elsewhere",
    request=AnimationRequest("", None, "", "", "", "en"),
    state=SubmissionState.ACCEPTED,
    at=NOW,
)


def job_at(step: str, *, began_s_ago: float = 0.0, status: JobStatus = JobStatus.RUNNING) -> Job:
    return Job(
        id="job",
        created_at=NOW,
        updated_at=NOW,
        owner="somebody",
        kind=JobKind.VIDEO,
        artwork_id="artwork",
        version=1,
        steps=[step.name for step in PLANS[JobKind.VIDEO]],
        step=step,
        status=status,
        step_started_at=NOW - timedelta(seconds=began_s_ago),
    )


def history(**seconds: list[float]) -> History:
    """By steps of a video; all of one provider."""
    return History(
        StepTime(
            id=f"video/{step}/{'fake' if 'video' in step else 'local'}",
            created_at=NOW,
            updated_at=NOW,
            read_at=NOW,
            kind="video",
            step=step,
            provider="fake",
            seconds=times,
        )
        for step, times in seconds.items()
    )


@pytest.mark.parametrize(
    ("began_s_ago", "left"),
    [(0, 20), (5, 15), (15, 15), (25, 12.5), (45, None)],
    ids=["new", "before all", "past the shortest", "past the median", "longer than ever"],
)
def test_what_is_left_is_the_median_of_what_took_longer(
    began_s_ago: float, left: float | None, product: Product
) -> None:
    known = history(analyze=[10.0, 30.0, 20.0, 45.0, 12.0])
    job = job_at(ANALYZE.name, began_s_ago=began_s_ago)
    found = product.studio.step_times.seconds_left(job, known, now=NOW)
    assert found == left


def test_steps_to_come_are_added(product: Product) -> None:
    known = history(analyze=[1.0, 2.0, 3.0], capture_video=[10.0, 10.0, 10.0])
    job = job_at("capture_video", began_s_ago=4)
    assert product.studio.step_times.seconds_left(job, known, now=NOW) == 6 + 2


def test_a_job_in_line_is_told_its_work_without_the_line(product: Product) -> None:
    job = job_at(ANALYZE.name, began_s_ago=1000, status=JobStatus.QUEUED)
    assert product.studio.step_times.seconds_left(job, history(analyze=[1.0, 2.0, 3.0]), now=NOW) == 2


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELING])
def test_what_has_ended_or_is_to_end_has_no_estimate(status: JobStatus, product: Product) -> None:
    job = job_at(ANALYZE.name, status=status)
    assert product.studio.step_times.seconds_left(job, history(analyze=[1.0] * 3), now=NOW) is None


@pytest.mark.parametrize("times", [[], [1.0, 1.0]])
def test_fewer_than_three_times_are_no_history(times: list[float], product: Product) -> None:
    job = job_at(ANALYZE.name)
    assert product.studio.step_times.seconds_left(job, history(analyze=times), now=NOW) is None


def test_a_clip_is_timed_by_the_provider_it_was_asked_of(product: Product) -> None:
    studio = product.studio
    forget_step_times(product)
    asked_elsewhere = msgspec.structs.replace(job_at(POLL_VIDEO.name), submissions=[SUBMISSION])
    for job in (asked_elsewhere, job_at(POLL_VIDEO.name), job_at(SUBMIT_VIDEO.name), job_at(ANALYZE.name)):
        studio.step_times.note(job, seconds=1.0)
    studio.step_times.write()
    assert {time.id for time in studio.step_times.list_all().now()} == {
        "video/poll_video/elsewhere",
        "video/poll_video/fake",
        "video/submit_video/fake",
        "video/analyze/local",
    }
    forget_step_times(product)


def test_only_the_newest_times_are_kept(product: Product) -> None:
    studio = product.studio
    forget_step_times(product)
    for seconds in range(KEEP + 3):
        studio.step_times.note(job_at(ANALYZE.name), seconds=seconds)
    studio.step_times.write()
    (stored,) = studio.step_times.list_all().now()
    assert stored.seconds == [float(seconds) for seconds in range(3, KEEP + 3)]
    assert abs(stored.read_at - stored.updated_at) < timedelta(minutes=1)
    forget_step_times(product)


def test_what_is_gathered_is_written_before_long(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_times, "WRITTEN_AFTER_S", 0.01)
    forget_step_times(product)
    times = product.studio.step_times
    for _ in range(3):
        times.note(job_at(ANALYZE.name), seconds=1.0)
    eventually(lambda: [time.seconds for time in times.list_all().now()] == [[1.0] * 3])
    forget_step_times(product)


def test_times_that_cannot_be_written_are_lost_and_disturb_nobody(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_step_times(product)
    times = product.studio.step_times
    times.note(job_at(ANALYZE.name), seconds=1.0)

    def is_away(*_arguments: object, **_options: object) -> None:
        raise AutoReconnect("away")

    with monkeypatch.context() as patched:
        patched.setattr(Collection, "bulk_write", is_away)
        times.write()
    times.write()
    assert times.list_all().now() == []
