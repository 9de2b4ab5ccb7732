"""The steps of a job, one actor each, and the broker they run on: `dramatiq actors` starts a worker.

    video      transcribe -> refine_text -> submit_video -> poll_video -> capture_video -> analyze
    analysis   analyze

Beside them: `cancel_job` and `wishes` for what people want of a job, `callbacks` for what services say of one,
`deliver_webhook` for those who want to be told that one has ended, `sweep` for jobs without a message, `make_thumbnail`
for what was uploaded, `export_data` and `erase_client` for whoever wants to take everything along or have it erased,
and what `schedules` sends: `housekeeping` and `roll_up_statistics`. The broker is set before any actor is imported,
because an actor belongs to the broker of its declaration.
"""

from actors.wiring import broker, studio  # isort: skip

from actors.analyze import analyze
from actors.cancel_job import cancel_job
from actors.capture_video import capture_video
from actors.deliver_webhook import deliver_webhook
from actors.erase_client import erase_client, send_erasure
from actors.export_data import export_data, send_export
from actors.housekeeping import (
    empty_bin,
    erase_inactive_clients,
    forget_failed_jobs,
    resume_erasures,
    review_media,
    sweep_exports,
    sweep_orphans,
    sweep_uploads,
    unlink_old_spending,
)
from actors.make_thumbnail import make_thumbnail, with_thumbnail
from actors.messages import send_step
from actors.poll_video import poll_video
from actors.refine_text import refine_text
from actors.roll_up_statistics import roll_up_statistics
from actors.schedules import SCHEDULES
from actors.submit_video import submit_video
from actors.sweep import sweep
from actors.transcribe import transcribe

__all__ = [
    "SCHEDULES",
    "analyze",
    "broker",
    "cancel_job",
    "capture_video",
    "deliver_webhook",
    "empty_bin",
    "erase_client",
    "erase_inactive_clients",
    "export_data",
    "forget_failed_jobs",
    "make_thumbnail",
    "poll_video",
    "refine_text",
    "resume_erasures",
    "review_media",
    "roll_up_statistics",
    "send_erasure",
    "send_export",
    "send_step",
    "studio",
    "submit_video",
    "sweep",
    "sweep_exports",
    "sweep_orphans",
    "sweep_uploads",
    "transcribe",
    "unlink_old_spending",
    "with_thumbnail",
]
