from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from studio.jobs import FinishedJob, JobStatus
from studio.pipelines import JobKind
from studio.statistics import newest_days
from tests.product import Product

DAY = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _empty(product: Product) -> None:
    product.studio.database["statistics"].delete_many({})


def ended(status: JobStatus, *, took_s: float | None = None, kind: JobKind = JobKind.VIDEO) -> FinishedJob:
    at = DAY + timedelta(hours=12)
    return FinishedJob(
        kind=kind, status=status, finished_at=at, started_at=at - timedelta(seconds=took_s) if took_s else None
    )


def test_a_day_is_counted_by_kind_and_outcome(product: Product) -> None:
    statistics = product.studio.statistics
    jobs = [ended(JobStatus.SUCCEEDED, took_s=seconds) for seconds in range(1, 21)]
    jobs += [ended(JobStatus.FAILED, took_s=1000), ended(JobStatus.CANCELED)]
    statistics.put_day(DAY, [*jobs, ended(JobStatus.CANCELED, kind=JobKind.ANALYSIS)])
    video, analysis = statistics.list_newest(days=1).now()
    assert (video.day, video.kind) == (DAY, "video")
    assert video.outcomes == {"succeeded": 20, "failed": 1, "canceled": 1}
    assert (video.p50_s, video.p95_s) == (10, 19), "of those that succeeded"
    assert analysis.outcomes == {"canceled": 1}
    assert (analysis.p50_s, analysis.p95_s) == (None, None)


def test_counting_twice_is_counting_once(product: Product) -> None:
    statistics = product.studio.statistics
    for _ in range(2):
        statistics.put_day(DAY, [ended(JobStatus.SUCCEEDED, took_s=1)])
    (counted,) = statistics.list_newest(days=2).now()
    assert counted.outcomes == {"succeeded": 1}


def test_the_newest_days_begin_at_midnight_in_utc(product: Product) -> None:
    today, yesterday = newest_days(product.studio.database, 2)
    assert timedelta(0) <= datetime.now(UTC) - today < timedelta(days=1, minutes=1)
    assert (today.hour, today.tzinfo, today - yesterday) == (0, UTC, timedelta(days=1))
