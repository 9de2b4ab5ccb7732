"""When to look for a clip: when it may be there, by what clips took lately, again shortly before its usual time, and
from then on as often as is documented.

Nothing is lost by coming late: the history is of what was seen, so these looks move back with each clip that is found
at them, until some are not. A look every few seconds between the first and the second would be most of what a service
is asked where clips take minutes. Without the second, the usual time would creep up by what each clip was late.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from pymongo.errors import PyMongoError

from actors.slots import offer_of
from actors.steps import seconds_since
from actors.wiring import studio
from studio.jobs import Job
from studio.pipelines import POLL_VIDEO
from studio.providers import Animator, Capability, Pending
from studio.step_times import History

EARLIEST = 0.9
"""Of the shortest time that a clip has taken lately."""
GROWTH = 0.05
"""Of the time that a clip takes longer than others: ten minutes late, it is looked for every half minute."""
GROWS_TO_S = 30.0
BELIEVED_FOR_S = 10.0


def first_look_s(job: Job, animator: Animator) -> float:
    """How long after it was asked for a clip is looked for first."""
    offer = offer_of(animator)
    if offer is None:
        # Nobody is bothered by being asked at once, and the animator on this machine works while it is looked at.
        return 0.0
    fastest_s = _history.get().fastest_s(job, POLL_VIDEO.name, animator.name)
    return offer.look_every_s if fastest_s is None else EARLIEST * fastest_s


def next_look_s(job: Job, animator: Animator, pending: Pending) -> float:
    """How long until the next look, never less than the provider asks for."""
    offer = offer_of(animator)
    if offer is None:
        return pending.look_again_s if pending.look_again_s is not None else studio.settings.poll_every_s
    passed_s = seconds_since(job, job.step_started_at) if job.step_started_at else 0.0
    late_s = passed_s - (_history.get().fastest_s(job, POLL_VIDEO.name, animator.name) or 0.0)
    wait_s = min(GROWTH * late_s, GROWS_TO_S) if late_s >= 0 else -late_s - offer.look_every_s
    return max(offer.look_every_s, pending.look_again_s or 0.0, wait_s)


@contextmanager
def passing_look(job: Job, animator: Animator) -> Iterator[None]:
    """How often an account may look, over all that it has in the making. Raises NotNow where that is too often."""
    offer = offer_of(animator)
    if offer is None:
        yield
        return
    with studio.gates.passing_look(animator.name, Capability.ANIMATOR, offer, ticket=job.id):
        yield


class _Believed:
    """The step times, read every few seconds: thousands of jobs may ask, and they change slowly."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._read_at = float("-inf")
        self._history = History()

    def get(self) -> History:
        with self._lock:
            if time.monotonic() - self._read_at > BELIEVED_FOR_S:
                # Without the database an old history is as good a guess as any.
                with suppress(PyMongoError):
                    self._history = History(studio.step_times.list_all().now())
                self._read_at = time.monotonic()
            return self._history


_history = _Believed()
