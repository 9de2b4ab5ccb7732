"""How long steps took lately, and what that says of the ones to come.

A step's time runs from the end of the step before to its own end. So a wait for a worker or a seat in the middle of a
job counts, because it makes people wait; the line before the first step does not, because a job's place in it tells
more. Times are kept by kind of job, step and provider: another provider, another history.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from threading import Lock, Timer

import structlog
from pymongo import UpdateOne
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from studio.jobs import LIVE, Job, JobStatus
from studio.pipelines import STEPS
from studio.providers import Providers
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record

KEEP = 50
"""Times of a step. Enough for a median, few enough to follow a deployment that changes."""
FEWEST = 3
"""Fewer are no history."""
WRITTEN_AFTER_S = 5.0
"""How long times are gathered."""

log = structlog.get_logger("studio")

_FIELDS = ["kind", "step", "provider", "seconds", "created_at", "updated_at"]


class StepTime(Record, frozen=True, kw_only=True):
    """The history of one step."""

    kind: str
    """Of the jobs."""
    step: str
    """The step."""
    provider: str
    """Who does it."""
    seconds: list[float]
    """The newest last."""
    read_at: datetime
    """The server's time of this reading; not stored."""


class StepTimes:
    def __init__(self, collection: Documents, loops: Loops, providers: Providers) -> None:
        # Nobody misses a time that a failover takes back.
        self._collection = collection.with_options(write_concern=WriteConcern(w=1))
        self._reads = Reads(collection, loops, StepTime)
        self._providers = providers
        self._lock = Lock()
        self._gathered: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)

    def note(self, job: Job, *, seconds: float) -> None:
        """Have the time of the step that a job was at written before long. With its process it is lost."""
        key = (job.kind.value, job.step, self.provider_of(job, job.step))
        with self._lock:
            is_first = not self._gathered
            self._gathered[key].append(round(seconds, 3))
        if is_first:
            timer = Timer(WRITTEN_AFTER_S, self.write)
            timer.daemon = True
            timer.start()

    def write(self) -> None:
        """Write what was gathered so far. Without the database it is lost."""
        with self._lock:
            gathered, self._gathered = self._gathered, defaultdict(list)
        writes = [
            UpdateOne({"_id": "/".join(key)}, _adding(*key, seconds), upsert=True) for key, seconds in gathered.items()
        ]
        if writes:
            try:
                self._collection.bulk_write(writes, ordered=False)
            except PyMongoError as error:
                log.info("step_times_lost", reason=type(error).__name__)

    def list_all(self) -> Read[list[StepTime]]:
        """One per kind, step and provider that this deployment has seen."""
        return self._reads.many({}, fields={**dict.fromkeys(_FIELDS, 1), "read_at": "$$NOW"})

    def provider_of(self, job: Job, step: str) -> str:
        """Who does a step of a job: the one that its clip was asked of, or the one that is chosen now."""
        needed = STEPS[step].needs
        asked = [call for call in job.submissions if call.capability is needed]
        if asked:
            return asked[-1].provider
        return self._providers.chosen(needed)

    def seconds_left(self, job: Job, history: History, *, now: datetime) -> float | None:
        """How long a live job is likely to take from `now` on, not counting the line before its first step.

        None where a step has no history, or where the current one takes longer than it ever did.
        """
        if job.status not in LIVE:
            return None
        total, spent = 0.0, 0.0
        if job.status is JobStatus.RUNNING and job.step_started_at:
            spent = max(0.0, (now - job.step_started_at).total_seconds())
        for step in job.steps[job.steps.index(job.step) :]:
            left = history.seconds_left(_key(job, step, self.provider_of(job, step)), spent=spent)
            if left is None:
                return None
            total, spent = total + left, 0.0
        return total


class History:
    """Step times as they were at one moment."""

    def __init__(self, times: Iterable[StepTime] = ()) -> None:
        times = list(times)
        self.read_at = max((time.read_at for time in times), default=None)
        self._seconds = {time.id: sorted(time.seconds) for time in times if len(time.seconds) >= FEWEST}

    def fastest_s(self, job: Job, step: str, provider: str) -> float | None:
        """The shortest time that a step has taken lately with a provider; None where there is no history."""
        return next(iter(self._seconds.get(_key(job, step, provider), [])), None)

    def seconds_left(self, key: str, *, spent: float) -> float | None:
        """The median of what the step took where it took longer than it has by now, less what it has taken."""
        seconds = self._seconds.get(key, [])
        first, end = bisect_right(seconds, spent), len(seconds)
        if first == end:
            return None
        # In sorted times the median lies in the middle; of an even number, between two.
        return (seconds[(first + end - 1) // 2] + seconds[(first + end) // 2]) / 2 - spent


def _adding(kind: str, step: str, provider: str, seconds: list[float]) -> list[Document]:
    told = {"kind": kind, "step": step, "provider": provider}
    times = {"$concatArrays": [{"$ifNull": ["$seconds", []]}, seconds]}
    return [
        {
            "$set": {
                **{name: {"$literal": value} for name, value in told.items()},
                "seconds": {"$slice": [times, -KEEP]},
                "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
                "updated_at": "$$NOW",
            }
        }
    ]


def _key(job: Job, step: str, provider: str) -> str:
    return f"{job.kind}/{step}/{provider}"
