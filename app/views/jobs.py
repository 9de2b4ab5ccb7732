"""Jobs and their events as callers see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.forecasts import NO_FORECAST, Forecast
from app.views.view import View
from studio.errors import describe
from studio.events import Event
from studio.jobs import FINAL, Job, JobStatus
from studio.language import Language
from studio.submissions import Billing

_STATES = {JobStatus.RUNNING: "running", JobStatus.CANCELING: "running", JobStatus.CANCELED: "canceled"}
"""What the current step is called; where a job is in another state, it has failed there."""


class StepView(View, frozen=True, kw_only=True):
    name: str
    state: str
    """waiting, running, done, failed or canceled."""
    progress: int
    """Percent of this step."""


class JobView(View, frozen=True, kw_only=True):
    job_id: str
    kind: str
    artwork_id: str
    status: str
    phase: str
    progress: int
    step: str
    steps: list[StepView]
    error: dict[str, Any] | None
    provider: str | None
    """Who makes the film; `local` when no AI service was asked."""
    billing: Billing
    """What its provider may charge: none, possible or unknown."""
    version: int
    queue_position: int | None
    """Place in line of a queued job, 1 being next and 1000 that or later."""
    eta_s: int | None
    """Seconds of work that are left by what jobs took here lately, without those in line."""
    outside_ms: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    """When the first step began, of the newest try."""
    finished_at: datetime | None


class CaptureView(JobView, frozen=True, kw_only=True):
    video_url: str | None
    """The film that this job makes, once it is there."""


class JobsView(View, frozen=True, kw_only=True):
    items: list[JobView]
    next_cursor: str | None


def view_job(job: Job, language: Language, forecast: Forecast = NO_FORECAST) -> JobView:
    return JobView(**_fields(job, language, forecast))


def view_capture(job: Job, language: Language, *, video_url: str | None) -> CaptureView:
    return CaptureView(**_fields(job, language, NO_FORECAST), video_url=video_url)


def _fields(job: Job, language: Language, forecast: Forecast) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "kind": job.kind,
        "artwork_id": job.artwork_id,
        "status": job.status,
        "phase": job.phase,
        "progress": job.progress,
        "step": job.step,
        "steps": _view_steps(job),
        "error": describe(job.error.symbol, job.error.params, language) if job.error else None,
        "provider": job.animation.provider if job.animation else None,
        "billing": job.billing,
        "version": job.version,
        "queue_position": forecast.queue_position,
        "eta_s": forecast.eta_s,
        "outside_ms": job.outside_ms,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at if job.status in FINAL else None,
    }


def view_event(event: Event, language: Language) -> dict[str, Any]:
    """What a watcher is told: where the job is, with an error in words as in `JobView`."""
    error = event.data["error"]
    words = describe(error["symbol"], error["params"], language) if error else None
    return {"jobId": event.job_id, **event.data, "error": words}


def _view_steps(job: Job) -> list[StepView]:
    current = job.steps.index(job.step)
    views = []
    for position, name in enumerate(job.steps):
        if position < current or job.status is JobStatus.SUCCEEDED:
            state, progress = "done", 100
        elif position > current or job.status is JobStatus.QUEUED:
            state, progress = "waiting", 0
        else:
            state = _STATES.get(job.status, "failed")
            progress = job.step_progress
        views.append(StepView(name=name, state=state, progress=progress))
    return views
