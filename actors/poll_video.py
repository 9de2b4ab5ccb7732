"""Step 4: see whether the clip is there. It looks once and comes back later; nobody waits in a thread."""

from __future__ import annotations

from actors.steps import Done, JobMovedOn, LookAgain, Outcome, reporter, seconds_since, step
from actors.wiring import studio
from studio.errors import StudioError
from studio.jobs import Job
from studio.pipelines import POLL_VIDEO
from studio.providers import Pending
from studio.stopwatch import outside


# Looking comes after everything that moves a job on: thousands may be waiting for their clips.
@step(POLL_VIDEO, priority=1)
def poll_video(job: Job) -> Outcome:
    """Look once. Store where the clip is, or look again when the provider suggests it."""
    submission = job.submission
    if submission is None or submission.provider_id is None:
        raise JobMovedOn
    if submission.clip:
        return Done()
    with outside():
        found = studio.providers.animator.look(submission.provider_id, submission.request, progress=reporter(job))
    if isinstance(found, Pending):
        if seconds_since(job, submission.at) > studio.settings.poll_limit_s:
            raise StudioError("PROVIDER_TIMEOUT")
        again_s = found.look_again_s if found.look_again_s is not None else studio.settings.poll_every_s
        return LookAgain(after_s=again_s, progress=found.progress)
    return Done(lambda session: studio.jobs.set_clip(job, submission, found.location, session=session))
