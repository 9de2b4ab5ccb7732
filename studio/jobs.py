"""Jobs: what a person asked for and watches. Every change is guarded by the state before it.

    queued -> running -> succeeded | failed | needs_attention
                failed -> queued (retry)
                needs_attention -> queued | canceled (a person has decided)
    queued -> canceled, where nothing was asked of anybody yet
    queued | running -> canceling -> canceled

A change appends its event in the same transaction. A guard that does not hold returns None: somebody else moved the
job on, and the caller's view of it is old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

import msgspec
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio import pipelines
from studio.artworks import Artwork
from studio.events import Events
from studio.indexes import Index
from studio.pipelines import JobKind, Phase
from studio.providers import Capability, ClipWishes
from studio.reads import Loops, Read, Reads
from studio.records import Document, Documents, Record, change, from_document, insert, new_id
from studio.submissions import OPEN, Billing, Submission, SubmissionState, billing_of


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
    CANCELING = "canceling"
    """Not wanted any more: no step begins, the one at work is stopped, and the provider is told."""
    CANCELED = "canceled"
    """All of that has been done. What a provider may charge is told by `billing`."""


LIVE = (JobStatus.QUEUED, JobStatus.RUNNING)
FINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.NEEDS_ATTENTION, JobStatus.CANCELED})
UNFINISHED = (*LIVE, JobStatus.CANCELING)
NO_WISHES = ClipWishes()


class LiveJobExists(Exception):
    """The artwork has a live job of this kind. Raised through the transaction, which the server has aborted."""


class Failure(msgspec.Struct, frozen=True):
    """A symbol of the error registry and the parameters of its words."""

    symbol: str
    """Of the registry of errors."""
    params: dict[str, str | int | float] = {}
    """What its words name."""


class FinishedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What statistics need of a job: nothing that leads to a person."""

    FIELDS: ClassVar[Document] = {"_id": 0, "kind": 1, "status": 1, "started_at": 1, "finished_at": 1}

    kind: JobKind
    status: JobStatus
    started_at: datetime | None = None
    finished_at: datetime

    @property
    def seconds(self) -> float | None:
        """How long it was worked on; None when it never was."""
        return (self.finished_at - self.started_at).total_seconds() if self.started_at else None


class Job(Record, frozen=True, kw_only=True):
    owner: str
    kind: JobKind
    artwork_id: str
    version: int
    """The number of the film it makes; 0 for other kinds."""
    steps: list[str]
    """The steps of its plan that it needs, in order."""
    step: str
    """The one that it is at."""
    status: JobStatus
    progress: int = 0
    """Percent, never falling within one try."""
    step_progress: int = 0
    """Percent of the current step."""
    error: Failure | None = None
    """Why it stopped."""
    wishes: ClipWishes = NO_WISHES
    """What its film is to be, as far as somebody said so."""
    submissions: list[Submission] = msgspec.field(default_factory=list)
    """The paid calls that were made for it, the oldest first."""
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
    started_at: datetime | None = None
    """When this try's first step began."""
    step_started_at: datetime | None = None
    """When the step before was settled, or the first one began."""
    cancel_asked_at: datetime | None = None
    """When somebody asked to stop it."""
    finished_at: datetime | None = None
    """When it ended."""

    @property
    def submission(self) -> Submission | None:
        """The paid call of its current step that is under way, if any; submit, poll and capture share one."""
        needed = pipelines.STEPS[self.step].needs
        return next((call for call in self.submissions if call.capability is needed and call.state in OPEN), None)

    @property
    def animation(self) -> Submission | None:
        """The newest call for a clip."""
        asked = [call for call in self.submissions if call.capability is Capability.ANIMATOR]
        return asked[-1] if asked else None

    @property
    def billing(self) -> Billing:
        return billing_of(self.submissions)

    @property
    def phase(self) -> Phase:
        match self.status:
            case JobStatus.QUEUED:
                return Phase.QUEUED
            case JobStatus.RUNNING:
                return pipelines.STEPS[self.step].phase
            case JobStatus.CANCELING:
                return Phase.GENERATING
            case JobStatus.SUCCEEDED:
                return Phase.COMPLETED
            case _:
                return Phase.FAILED

    @property
    def at_step(self) -> Document:
        """Finds the job where the caller saw it: at the same step of the same try."""
        return {"_id": self.id, "step": self.step, "tries": self.tries}

    @property
    def at_work(self) -> Document:
        """The same, and still wanted."""
        return {**self.at_step, "status": JobStatus.RUNNING}


INDEXES = [
    Index(
        [("owner", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
        name="owner",
        why="A client's jobs, newest first.",
    ),
    Index(
        [("artwork_id", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
        name="artwork",
        why="An artwork's jobs, newest first.",
    ),
    Index(
        [("artwork_id", ASCENDING), ("kind", ASCENDING)],
        name="live",
        unique=True,
        partialFilterExpression={"live": True},
        why="One live job of a kind per artwork: a second tap on the button watches the first one's job.",
    ),
    Index(
        [("live", ASCENDING), ("updated_at", ASCENDING)],
        name="quiet",
        partialFilterExpression={"live": True},
        why="Live jobs that nothing happened to for long, for the sweep.",
    ),
    Index(
        [("status", ASCENDING), ("updated_at", ASCENDING)],
        name="canceling",
        partialFilterExpression={"status": JobStatus.CANCELING.value},
        why="Jobs on their way to be canceled, for the sweep.",
    ),
    Index([("submissions.id", ASCENDING)], name="call", sparse=True, why="The job that made a paid call."),
    Index(
        [("submissions.provider_id", ASCENDING)],
        name="provider_id",
        sparse=True,
        why="The job that made a paid call, as its provider knows that.",
    ),
    Index(
        [("finished_at", ASCENDING)],
        name="finished",
        sparse=True,
        why="The jobs that ended on a day, for the statistics.",
    ),
]


class Jobs:
    def __init__(self, collection: Documents, loops: Loops, events: Events) -> None:
        self._collection = collection
        self._reads = Reads(collection, loops, Job)
        self._events = events
        self.when_ended: Callable[[Job, ClientSession], None] | None = None
        """Told of each job that ends, in the transaction that ends it."""

    def get(self, owner: str, job_id: str) -> Read[Job | None]:
        return self._reads.owned(owner, job_id)

    def get_live(self, artwork_id: str, kind: JobKind) -> Read[Job | None]:
        return self._reads.one({"artwork_id": artwork_id, "kind": kind, "live": True})

    def list_live(self, artwork_id: str) -> Read[list[Job]]:
        return self._reads.many({"artwork_id": artwork_id, "live": True})

    def get_newest(self, owner: str, artwork_id: str) -> Read[Job | None]:
        """The newest job of an artwork, finished or not."""
        return self._reads.one({"artwork_id": artwork_id, "owner": owner}, sort=[("created_at", -1)])

    def unfinished_films(self, artwork_ids: set[str]) -> set[tuple[str, int]]:
        """The films, by artwork and version, that a job makes or may be told to go on with."""
        query = {"artwork_id": {"$in": list(artwork_ids)}, "status": {"$ne": JobStatus.SUCCEEDED}}
        found = self._collection.find(query, {"_id": 0, "artwork_id": 1, "version": 1})
        return {(document["artwork_id"], document["version"]) for document in found}

    def load(self, job_id: str) -> Job | None:
        """A job whoever owns it, with the server's time; for actors only."""
        found = self._collection.aggregate([{"$match": {"_id": job_id}}, {"$set": {"read_at": "$$NOW"}}])
        document = next(found, None)
        return from_document(document, Job) if document else None

    def load_called(self, name: str, *, session: ClientSession) -> Job | None:
        """The job that made a paid call, by the call's id, the provider's id for it, or the job's own."""
        query = {"$or": [{"submissions.id": name}, {"submissions.provider_id": name}, {"_id": name}]}
        document = self._collection.find_one(query, session=session)
        return from_document(document, Job) if document else None

    def list_page(
        self,
        owner: str,
        *,
        status: JobStatus | None = None,
        kind: JobKind | None = None,
        artwork_id: str | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Read[list[Job]]:
        """The newest jobs, or those that follow `after`, the time and id of the last one of the page before."""
        wanted = {"status": status, "kind": kind, "artwork_id": artwork_id}
        query: Document = {"owner": owner, **{name: value for name, value in wanted.items() if value is not None}}
        if after:
            created_at, job_id = after
            query["$or"] = [
                {"created_at": {"$lt": created_at}},
                {"created_at": created_at, "_id": {"$lt": job_id}},
            ]
        return self._reads.many(query, sort=[("created_at", -1), ("_id", -1)], limit=limit)

    def list_unfinished(self, owner: str) -> Read[list[Job]]:
        """What is queued, running or canceling."""
        return self._reads.many({"owner": owner, "status": {"$in": UNFINISHED}})

    def list_quiet(self, *, for_s: float) -> Iterator[Job]:
        """Unfinished jobs that nothing happened to for so long, the quietest first."""
        quiet = {"$lt": ["$updated_at", {"$subtract": ["$$NOW", int(1000 * for_s)]}]}
        unfinished = [{"live": True}, {"status": JobStatus.CANCELING}]
        for document in self._collection.find({"$or": unfinished, "$expr": quiet}).sort("updated_at", 1):
            yield from_document(document, Job)

    def list_finished(self, day: datetime) -> Iterator[FinishedJob]:
        """How the jobs ended that ended on a day; `day` is its first instant."""
        on_day = {"finished_at": {"$gte": day, "$lt": day + timedelta(days=1)}, "status": {"$in": list(FINAL)}}
        for document in self._collection.find(on_day, FinishedJob.FIELDS):
            yield msgspec.convert(document, FinishedJob)

    def busy_artworks(self, artwork_ids: set[str], *, session: ClientSession | None = None) -> set[str]:
        """Which of these artworks have a job that is not finished."""
        unfinished = {"artwork_id": {"$in": list(artwork_ids)}, "status": {"$in": UNFINISHED}}
        return set(self._collection.distinct("artwork_id", unfinished, session=session))

    def which_are_unfinished(self, job_ids: list[str]) -> set[str]:
        """Which of these jobs have not come to their end."""
        return set(self._collection.distinct("_id", {"_id": {"$in": job_ids}, "status": {"$in": UNFINISHED}}))

    def delete_of(self, artwork: Artwork, *, session: ClientSession) -> None:
        self._collection.delete_many({"artwork_id": artwork.id, "owner": artwork.owner}, session=session)

    def delete_failed_before(self, moment: datetime, *, limit: int) -> int:
        """Forget jobs that failed or were canceled before a moment, at most `limit`; how many.

        Those that need attention wait for a person: they may have cost something.
        """
        failed = {"status": {"$in": [JobStatus.FAILED, JobStatus.CANCELED]}, "finished_at": {"$lt": moment}}
        ids = [document["_id"] for document in self._collection.find(failed, {"_id": 1}, limit=limit)]
        # Asked again by the deletion: one of them may have been retried.
        return self._collection.delete_many({"_id": {"$in": ids}, **failed}).deleted_count

    def create(
        self,
        artwork: Artwork,
        kind: JobKind,
        *,
        version: int,
        wishes: ClipWishes = NO_WISHES,
        request_id: str,
        session: ClientSession,
    ) -> Job:
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
            "wishes": msgspec.to_builtins(wishes),
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
        return self._move(
            job,
            {"status": JobStatus.RUNNING},
            session=session,
            before=(JobStatus.QUEUED,),
            now=("started_at", "step_started_at"),
        )

    def advance(self, job: Job, *, outside_ms: int, clip: str | None = None, session: ClientSession) -> Job | None:
        """On to the next step of the plan, or to success after the last one.

        `clip`: where the clip is that its paid call has come to.
        """
        found: Document = {}
        if clip is not None and job.submission:
            # Calls are only ever added, behind the others.
            found[f"submissions.{job.submissions.index(job.submission)}.clip"] = clip
        following = pipelines.next_step(job.steps, job.step)
        if following is None:
            ended: Document = {"status": JobStatus.SUCCEEDED, "progress": 100}
            return self._finish(job, {**ended, **found}, outside_ms, session=session)
        fields = {
            **found,
            "step": following,
            "step_progress": 0,
            "progress": pipelines.progress_at(job.steps, following, 0.0),
        }
        return self._move(job, fields, session=session, count={"outside_ms": outside_ms}, now=("step_started_at",))

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

    def ask_to_cancel(self, job: Job, *, session: ClientSession) -> Job | None:
        """Let no step of a live job begin or be settled any more. From here on its artwork may have another job."""
        fields: Document = {"status": JobStatus.CANCELING, "live": False}
        return self._move(job, fields, session=session, before=(job.status,), now=("cancel_asked_at",))

    def cancel(self, job: Job, *, session: ClientSession) -> Job | None:
        """End a job for which nobody is at work: a canceling one that has come to rest, or a queued one."""
        fields = {"status": JobStatus.CANCELED, "error": msgspec.to_builtins(Failure("CANCELED"))}
        return self._finish(job, fields, 0, before=(job.status,), session=session)

    def retry(self, job: Job, artwork: Artwork, *, request_id: str, session: ClientSession) -> Job | None:
        """Queue a failed job again, at the step that failed or where its clip is asked for anew.

        None when it has not failed. Raises LiveJobExists when another one makes the same thing by now.
        """
        if job.error is None:
            return None
        steps, step = pipelines.plan_again(
            job.steps, job.step, job.error.symbol, artwork, is_asked=job.submission is not None
        )
        fields = _queued_again(steps, step, request_id)
        if job.submission and job.error.symbol in pipelines.NEEDS_NEW_CLIP:
            fields[f"submissions.{job.submissions.index(job.submission)}.state"] = SubmissionState.CLOSED
        try:
            return self._move(
                job, fields, session=session, before=(JobStatus.FAILED,), count={"tries": 1}, now=("tried_at",)
            )
        except DuplicateKeyError as error:
            raise LiveJobExists from error

    def resolve(self, job: Job, *, request_id: str, session: ClientSession) -> Job | None:
        """Queue a job again, at its step, of which a person has decided how it goes on. None when it is not in doubt.

        Raises LiveJobExists when another one makes the same thing by now.
        """
        fields = _queued_again(job.steps, job.step, request_id)
        try:
            return self._move(
                job, fields, session=session, before=(JobStatus.NEEDS_ATTENTION,), count={"tries": 1}, now=("tried_at",)
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

    def _finish(
        self,
        job: Job,
        fields: Document,
        outside_ms: int,
        *,
        before: tuple[JobStatus, ...] = LIVE,
        session: ClientSession,
    ) -> Job | None:
        ended = self._move(
            job,
            {**fields, "live": False},
            session=session,
            before=before,
            count={"outside_ms": outside_ms},
            now=("finished_at",),
        )
        if ended and self.when_ended:
            self.when_ended(ended, session)
        return ended

    def _move(
        self,
        job: Job,
        fields: Document,
        *,
        session: ClientSession,
        before: tuple[JobStatus, ...] = (JobStatus.RUNNING,),
        guard: Document | None = None,
        count: Document | None = None,
        now: tuple[str, ...] = (),
    ) -> Job | None:
        """Change a job that still is where the caller saw it, and tell its watchers. `now` names times to be noted."""
        update: dict[str, Any] = change(fields, **({"$inc": count} if count else {}))
        update["$currentDate"].update(dict.fromkeys(now, True))
        document = self._collection.find_one_and_update(
            {**job.at_step, "status": {"$in": before}, **(guard or {})},
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


def _queued_again(steps: list[str], step: str, request_id: str) -> Document:
    return {
        "status": JobStatus.QUEUED,
        "live": True,
        "steps": steps,
        "step": step,
        "step_progress": 0,
        "progress": pipelines.progress_at(steps, step, 0.0),
        "error": None,
        "request_id": request_id,
        "started_at": None,
        "step_started_at": None,
        "finished_at": None,
    }
