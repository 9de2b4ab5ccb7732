"""Workers that are killed at drawn points around the submission of a film: `python -m tests.faults.deadly_payer`.

A point is a number of calls. While a job's submission runs, every call of a function is counted, of Python's and of C's
alike, and at the drawn one the process kills itself. So it dies anywhere: before the intent, between the intent and the
first byte, while the provider thinks, with its answer half read, before and after that is stored. A job is killed for
once; the workers that follow see it through.

The folder FATES has a file for each job that is to be killed for, with the number; where there is none, how many calls
it took is left in one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

# First, because the actors are wired when they are imported.
from tests.worker import broker  # isort: skip

from actors import steps
from studio.jobs import Job
from tests.faults.lives import keep_alive

_fates = Path(os.environ["FATES"])
_perform = steps.perform


def perform(work: Any, job: Job) -> None:
    fate = _fates / job.id
    if job.step != "submit_video" or fate.with_suffix(".met").exists():
        _perform(work, job)
        return
    die_at = int(fate.read_text()) if fate.exists() else None
    fate.with_suffix(".met").touch()
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    try:
        _perform(work, job)
    finally:
        sys.setprofile(None)
    (_fates / f"{job.id}.survived").write_text(str(calls))


steps.perform = perform


if __name__ == "__main__":
    keep_alive(broker, workers=4, threads=1)
