"""How the jobs of a day ended and how long they took, counted without a trace of whose they were."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from pymongo.database import Database

from studio.jobs import FinishedJob, JobStatus
from studio.pipelines import JobKind
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, server_time, upsert


class DayOfJobs(Record, frozen=True, kw_only=True):
    """The jobs of one kind that ended on one day, in UTC. A job that is retried counts by its last end."""

    day: datetime
    """Its first instant."""
    kind: JobKind
    outcomes: dict[JobStatus, int]
    """How many ended in each of the final states; those that none ended in are left out."""
    p50_s: float | None
    """Seconds of work on the jobs that succeeded, from the start of the first step: half of them took no longer."""
    p95_s: float | None
    """Of twenty, nineteen took no longer."""


class Statistics:
    def __init__(self, collection: Documents, loops: Loops) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, DayOfJobs)

    def list_newest(self, *, days: int) -> Read[list[DayOfJobs]]:
        """The newest days, each with one entry per kind."""
        return self._reads.many({}, sort=[("_id", -1)], limit=days * len(JobKind))

    def put_day(self, day: datetime, jobs: Iterable[FinishedJob]) -> None:
        """Count a day's jobs, in place of what was counted of that day before."""
        outcomes: dict[JobKind, Counter[JobStatus]] = defaultdict(Counter)
        seconds: dict[JobKind, list[float]] = defaultdict(list)
        for job in jobs:
            outcomes[job.kind][job.status] += 1
            if job.status is JobStatus.SUCCEEDED and job.seconds is not None:
                seconds[job.kind].append(job.seconds)
        for kind, counts in outcomes.items():
            times = sorted(seconds[kind])
            self._put(day, kind, {"outcomes": counts, "p50_s": _rank(times, 0.5), "p95_s": _rank(times, 0.95)})

    def _put(self, day: datetime, kind: JobKind, figures: Document) -> None:
        fields = {"day": day, "kind": kind, **figures}
        times = {"created_at": {"$ifNull": ["$created_at", "$$NOW"]}, "updated_at": "$$NOW"}
        upsert(
            self._collection,
            {"_id": f"{day:%Y-%m-%d}/{kind}"},
            [{"$replaceWith": {"$mergeObjects": [{"_id": "$_id"}, {"$literal": fields}, times]}}],
        )


def newest_days(database: Database[Document], count: int) -> list[datetime]:
    """Today and the days before it, by the server's clock."""
    today = server_time(database.client).replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=before) for before in range(count)]


def _rank(times: list[float], share: float) -> float | None:
    """The nearest rank: a time that was really taken, in sorted times."""
    return round(times[math.ceil(share * len(times)) - 1], 3) if times else None
