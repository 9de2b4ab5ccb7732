"""Jobs and their events as callers see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.views.view import View
from studio.errors import describe
from studio.events import Event
from studio.jobs import FINAL, Job, JobStatus
from studio.language import Language


class StepView(View, frozen=True, kw_only=True):
    name: str
    state: str
    """waiting, running, done or failed."""
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
    version: int
    outside_ms: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


def view_job(job: Job, language: Language) -> JobView:
    return JobView(
        job_id=job.id,
        kind=job.kind,
        artwork_id=job.artwork_id,
        status=job.status,
        phase=job.phase,
        progress=job.progress,
        step=job.step,
        steps=_view_steps(job),
        error=describe(job.error.symbol, job.error.params, language) if job.error else None,
        provider=job.submissions[-1].provider if job.submissions else None,
        version=job.version,
        outside_ms=job.outside_ms,
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at if job.status in FINAL else None,
    )


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
            state = "running" if job.status is JobStatus.RUNNING else "failed"
            progress = job.step_progress
        views.append(StepView(name=name, state=state, progress=progress))
    return views
