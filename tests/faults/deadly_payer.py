"""Workers that are killed at drawn points around the submission of a film: `python -m tests.faults.deadly_payer`.

While a job's submission runs, every call of a function is counted, of Python's and of C's alike, and at the drawn one
the process kills itself. So it dies anywhere. The calls are counted anew from each of these events on, so that a point
stays where it was drawn, although a process has more to do when it submits for the first time:

    asked       the step has begun; nothing is stored at first, and in the end the intent
    intended    it is stored; nothing was sent at first, and in the end the whole request
    sent        the request is on its way, or its answer is
    answered    it was read; nothing is stored of it at first, and in the end everything

The folder FATES has a file for each artwork whose film is to be died for, with the event and the number of calls after
it; who dies leaves a `.died` beside it. The workers that follow see the job through. For a job without such a file it
is left in a `.took` how many calls followed each event.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from shutil import copyfile
from types import FrameType
from typing import Any

# First, because the actors are wired when they are imported.
from tests.worker import broker  # isort: skip

from actors import steps
from studio.jobs import Job
from studio.media.clips import ClipFacts
from studio.providers import Reading, fuse
from tests.faults.lives import keep_alive

EVENTS = ("asked", "intended", "sent", "answered")
_ENDS = {"intend": "asked", "HTTP11Connection._send_request_body": "intended", "Api.buy": "sent"}
"""The functions with whose return the next event comes."""

_fates = Path(os.environ["FATES"])
_perform = steps.perform


def perform(work: Any, job: Job) -> None:
    fate, died = _fates / job.artwork_id, _fates / f"{job.artwork_id}.died"
    if job.step != "submit_video" or died.exists():
        _perform(work, job)
        return
    die_after, die_at = fate.read_text().split() if fate.exists() else ("", "0")
    event, calls = EVENTS[0], Counter[str]()

    def die() -> None:
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def count(frame: FrameType, kind: str, _argument: Any) -> None:
        nonlocal event
        if kind == "return" and _ENDS.get(frame.f_code.co_qualname) == event:
            if event == die_after:
                # It has come with fewer calls than when they were counted.
                die()
            event = EVENTS[EVENTS.index(event) + 1]
        elif kind in ("call", "c_call"):
            calls[event] += 1
            if event == die_after and calls[event] == int(die_at):
                die()

    sys.setprofile(count)
    try:
        _perform(work, job)
    finally:
        sys.setprofile(None)
    if die_after:
        die()
    (_fates / f"{job.artwork_id}.took").write_text(json.dumps(calls))


steps.perform = perform

# How long a call may last that a dead worker has left is minutes, and here nothing takes seconds.
cards: Any = import_module("studio.providers.cards")
paid_calls: Any = import_module("actors.paid_calls")
fuse.BEGINS_WITHIN_S, cards.CONNECT_S, paid_calls.LOOK_UP_EVERY_S = 3.0, 2.0, 0.2

# What comes after the clip is there is proved elsewhere, and takes its time for so many films.
_facts = ClipFacts("video/mp4", width=320, height=180, seconds=2.0, has_audio=True, codec="h264")
_reading = Reading(summary={}, tags=[], palette=[], regions=[], scores={}, coverage=0.0, method="unread")
clips: Any = import_module("studio.media.clips")
telling: Any = import_module("studio.media.telling")
seers: Any = import_module("studio.providers.local_seer")
clips.inspect = lambda film, still: copyfile(film, still) and _facts
telling.tell = lambda clip, _voice, _target: clip
seers.LocalSeer.read = lambda *_arguments, **_named: _reading


if __name__ == "__main__":
    keep_alive(broker, workers=4, threads=1)
