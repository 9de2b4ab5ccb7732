"""Jobs: what a person asked for and watches. Every change is guarded by the state before it.

    queued -> running -> succeeded | failed | needs_attention
                failed -> queued (retry)

A change appends its event in the same transaction. A guard that does not hold returns None: somebody else moved the
job on, and the caller's view of it is old.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio import pipelines
from studio.artworks import Artwork
from studio.events import Events
from studio.pipelines import JobKind, Phase
from studio.providers.interfaces import AnimationRequest
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, change, from_document, insert, new_id


class JobStatus(StrEnum):
    QUEUED = "queued"
    """Stored and sent; no step has begun."""
    RUNNING = "running"
    """At its `step`."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Stopped at its `step` with an `error`; a retry goes on from there."""
    NEEDS_ATTENTION = "needs_attention"
    """Nobody can know whether a paid call was accepted; a person has to decide."""


LIVE = (JobStatus.QUEUED, JobStatus.RUNNING)
FINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.NEEDS_ATTENTION})


class LiveJobExists(Exception):
    """The artwork has a live job of this kind. Raised through the transaction, which the server has aborted."""


class Failure(msgspec.Struct, frozen=True):
    """A symbol of the error registry and the parameters of its words."""

    symbol: str
    params: dict[str, str | int | float] = {}


class SubmissionState(StrEnum):
    SENDING = "sending"
    """The intent: the call may have gone out. Only a lookup may tell what became of it."""
    UNSENT = "unsent"
    """The provider surely did not take it, and may be asked again under the same key."""
    ACCEPTED = "accepted"
    """The provider has it, under `provider_id`."""
    CLOSED = "closed"
    """Given up: a retry asks anew."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One paid call. `id` is the idempotency key, the same on every attempt."""

    id: str
    provider: str
    request: AnimationRequest
    state: SubmissionState
    at: datetime
    provider_id: str | None = None
    clip: str | None = None
    """Where the finished clip is, once it was seen."""


class Job(Record, frozen=True, kw_only=True):
    owner: str
    kind: JobKind
    artwork_id: str
    version: int
    """The number of the film it makes; 0 for other kinds."""
    steps: list[str]
    step: str
    status: JobStatus
    progress: int = 0
    """Percent, never falling within one try."""
    step_progress: int = 0
    """Percent of the current step."""
    error: Failure | None = None
    submissions: list[Submission] = msgspec.field(default_factory=list)
    tries: int = 0
    """How often it was retried."""
    tried_at: datetime | None = None
    """When it was retried last."""
    request_id: str = ""
    """Of the call that asked for it; every log line about the job carries it."""
    outside_ms: int = 0
    """Time spent in providers and media tools so far."""
    read_at: datetime | None = None
    """The server's time of this reading; not stored."""
    finished_at: datetime | None = None

    @property
    def submission(self) -> Submission | None:
        """The paid call that is under way, if any."""
        if self.submissions and self.submissions[-1].state is not SubmissionState.CLOSED:
            return self.submissions[-1]
        return None

    @property
    def phase(self) -> Phase:
        match self.status:
            case JobStatus.QUEUED:
                return Phase.QUEUED
            case JobStatus.RUNNING:
                return pipelines.STEPS[self.step].phase
            case JobStatus.SUCCEEDED:
                return Phase.COMPLETED
            case _:
                return Phase.FAILED


INDEXES = [
    IndexModel([("owner", ASCENDING), ("created_at", ASCENDING)], name="owner"),
    IndexModel([("artwork_id", ASCENDING), ("created_at", ASCENDING)], name="artwork"),
    # One live job of a kind per artwork: a second tap on the button watches the first one's job.
    IndexModel(
        [("artwork_id", ASCENDING), ("kind", ASCENDING)],
        name="live",
        unique=True,
        partialFilterExpression={"live": True},
    ),
    IndexModel([("live", ASCENDING), ("updated_at", ASCENDING)], name="quiet", partialFilterExpression={"live": True}),
]


class Jobs:
    def __init__(self, collection: Documents, loops: Loops, events: Events) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Job)
        self._events = events

    def get(self, owner: str, job_id: str) -> Read[Job | None]:
        return self._reads.owned(owner, job_id)

    def get_live(self, artwork_id: str, kind: JobKind) -> Read[Job | None]:
        return self._reads.one({"artwork_id": artwork_id, "kind": kind, "live": True})

    def get_newest(self, owner: str, artwork_id: str) -> Read[Job | None]:
        """The newest job of an artwork, finished or not."""
        return self._reads.one({"artwork_id": artwork_id, "owner": owner}, sort=[("created_at", -1)])

    def load(self, job_id: str) -> Job | None:
        """A job whoever owns it, with the server's time; for actors only."""
        found = self._collection.aggregate([{"$match": {"_id": job_id}}, {"$set": {"read_at": "$$NOW"}}])
        document = next(found, None)
        return from_document(document, Job) if document else None

    def list_quiet(self, *, for_s: float) -> Iterator[Job]:
        """Live jobs that nothing happened to for so long, the quietest first."""
        quiet = {"$lt": ["$updated_at", {"$subtract": ["$$NOW", int(1000 * for_s)]}]}
        for document in self._collection.find({"live": True, "$expr": quiet}).sort("updated_at", 1):
            yield from_document(document, Job)

    def create(self, artwork: Artwork, kind: JobKind, *, version: int, request_id: str, session: ClientSession) -> Job:
        """Store a new job at the first step it needs. Raises LiveJobExists."""
        steps = pipelines.plan_for(kind, artwork)
        fields = {
            "_id": new_id(),
            "owner": artwork.owner,
            "kind": kind,
            "artwork_id": artwork.id,
            "version": version,
            "steps": steps,
            "step": steps[0],
            "status": JobStatus.QUEUED,
            "live": True,
            "tries": 0,
            "request_id": request_id,
        }
        try:
            job = from_document(insert(self._collection, fields, session=session), Job)
        except DuplicateKeyError as error:
            raise LiveJobExists from error
        self._tell(job, session)
        return job

    def start(self, job: Job, *, session: ClientSession) -> Job | None:
        return self._move(job, {"status": JobStatus.RUNNING}, session=session, before=(JobStatus.QUEUED,))

    def advance(self, job: Job, *, outside_ms: int, session: ClientSession) -> Job | None:
        """On to the next step of the plan, or to success after the last one."""
        following = pipelines.next_step(job.steps, job.step)
        if following is None:
            return self._finish(job, {"status": JobStatus.SUCCEEDED, "progress": 100}, outside_ms, session=session)
        fields = {
            "step": following,
            "step_progress": 0,
            "progress": pipelines.progress_at(job.steps, following, 0.0),
        }
        return self._move(job, fields, session=session, count={"outside_ms": outside_ms})

    def fail(
        self,
        job: Job,
        failure: Failure,
        *,
        outside_ms: int = 0,
        status: JobStatus = JobStatus.FAILED,
        session: ClientSession,
    ) -> Job | None:
        fields: Document = {"status": status, "error": msgspec.to_builtins(failure)}
        return self._finish(job, fields, outside_ms, session=session)

    def retry(self, job: Job, *, request_id: str, session: ClientSession) -> Job | None:
        """Queue a failed job again, at the step that failed or where its clip is asked for anew.

        None when it has not failed. Raises LiveJobExists when another one makes the same thing by now.
        """
        if job.error is None:
            return None
        step = pipelines.retry_step(job.steps, job.step, job.error.symbol)
        fields: Document = {
            "status": JobStatus.QUEUED,
            "live": True,
            "step": step,
            "step_progress": 0,
            "progress": pipelines.progress_at(job.steps, step, 0.0),
            "error": None,
            "request_id": request_id,
            "finished_at": None,
        }
        if job.submission and job.error.symbol in pipelines.NEEDS_NEW_CLIP:
            fields[f"submissions.{len(job.submissions) - 1}.state"] = SubmissionState.CLOSED
        try:
            return self._move(
                job, fields, session=session, before=(JobStatus.FAILED,), count={"tries": 1}, now={"tried_at": True}
            )
        except DuplicateKeyError as error:
            raise LiveJobExists from error

    def report(self, job: Job, fraction: float, *, session: ClientSession) -> Job | None:
        """Show how far the current step is. Progress only grows."""
        percent = int(100 * min(max(fraction, 0.0), 1.0))
        fields = {
            "step_progress": percent,
            "progress": pipelines.progress_at(job.steps, job.step, fraction),
        }
        return self._move(job, fields, session=session, guard={"step_progress": {"$lt": percent}})

    def open_submission(self, job: Job, *, provider: str, request: AnimationRequest) -> Submission | None:
        """Store the intent of a paid call, on a majority, before the call is made. None when the job moved on."""
        entry: Document = {
            "id": new_id(),
            "provider": provider,
            "request": msgspec.to_builtins(request),
            "state": SubmissionState.SENDING,
        }
        open_states = [state for state in SubmissionState if state is not SubmissionState.CLOSED]
        document = self._collection.find_one_and_update(
            {**_at_step(job), "status": JobStatus.RUNNING, "submissions.state": {"$nin": open_states}},
            [
                {
                    "$set": {
                        "submissions": {
                            "$concatArrays": [
                                {"$ifNull": ["$submissions", []]},
                                [{"$mergeObjects": [{"$literal": entry}, {"at": "$$NOW"}]}],
                            ]
                        }
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        return from_document(document, Job).submission if document else None

    def mark_submission(self, job: Job, submission: Submission, state: SubmissionState) -> Submission | None:
        """Note what became of a call, on a majority. None when the job moved on, or another run was first."""
        open_one = {"$elemMatch": {"id": submission.id, "state": submission.state}}
        result = self._collection.update_one(
            {**_at_step(job), "status": JobStatus.RUNNING, "submissions": open_one},
            {"$set": {"submissions.$.state": state}},
        )
        return msgspec.structs.replace(submission, state=state) if result.matched_count else None

    def accept_submission(self, job: Job, submission: Submission, provider_id: str, *, session: ClientSession) -> None:
        self._set_submission(
            job, submission, {"state": SubmissionState.ACCEPTED, "provider_id": provider_id}, session=session
        )

    def set_clip(self, job: Job, submission: Submission, clip: str, *, session: ClientSession) -> None:
        self._set_submission(job, submission, {"clip": clip}, session=session)

    def _set_submission(self, job: Job, submission: Submission, fields: Document, *, session: ClientSession) -> None:
        self._collection.update_one(
            {"_id": job.id, "submissions.id": submission.id},
            {"$set": {f"submissions.$.{name}": value for name, value in fields.items()}},
            session=session,
        )

    def _finish(self, job: Job, fields: Document, outside_ms: int, *, session: ClientSession) -> Job | None:
        return self._move(
            job,
            {**fields, "live": False},
            session=session,
            before=LIVE,
            count={"outside_ms": outside_ms},
            now={"finished_at": True},
        )

    def _move(
        self,
        job: Job,
        fields: Document,
        *,
        session: ClientSession,
        before: tuple[JobStatus, ...] = (JobStatus.RUNNING,),
        guard: Document | None = None,
        count: Document | None = None,
        now: Document | None = None,
    ) -> Job | None:
        """Change a job that still is where the caller saw it, and tell its watchers."""
        update: dict[str, Any] = change(fields, **({"$inc": count} if count else {}))
        update["$currentDate"].update(now or {})
        document = self._collection.find_one_and_update(
            {**_at_step(job), "status": {"$in": before}, **(guard or {})},
            update,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if document is None:
            return None
        moved = from_document(document, Job)
        self._tell(moved, session)
        return moved

    def _tell(self, job: Job, session: ClientSession) -> None:
        error = msgspec.to_builtins(job.error) if job.error else None
        data = {
            "status": job.status,
            "phase": job.phase,
            "step": job.step,
            "stepProgress": job.step_progress,
            "progress": job.progress,
            "error": error,
        }
        self._events.append(job.owner, "job", job_id=job.id, data=data, session=session)


def _at_step(job: Job) -> Document:
    """The job where the caller saw it: at the same step of the same try."""
    return {"_id": job.id, "step": job.step, "tries": job.tries}
