"""Actors that kill their worker process, once at each point of each step. `python -m tests.faults.deadly`.

The points of each step: before its work; after it, with nothing stored; after the commit, before the worker's ack.
Of the paid call, besides: after its intent was stored; after the provider took it, before its answer was heard.
Of a cancel: once the step has come to rest; once the provider was told; after the commit.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# First, because it makes the fake known before anything imports the actors.
from tests.worker import broker, studio  # isort: skip

from actors import steps
from studio.jobs import Job
from studio.providers import AnimationRequest
from tests.faults.lives import keep_alive

_graves = Path(os.environ["GRAVES"])
_perform, _settle = steps.perform, steps.settle
# The package lists its actors by name, so the module of this one has to be asked for.
canceling: Any = import_module("actors.cancel_job")
_tell_provider, _run_in_transaction = canceling.tell_provider, canceling.run_in_transaction


def die_once(point: str, step: str) -> None:
    """SIGKILL this process, unless somebody died here before."""
    try:
        (_graves / f"{step}.{point}").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def perform(work: Callable[[Job], steps.Outcome], job: Job) -> None:
    def deadly(job: Job) -> steps.Outcome:
        die_once("before", job.step)
        outcome = work(job)
        die_once("worked", job.step)
        return outcome

    _perform(deadly, job)


def settle(job: Job, outcome: steps.Outcome) -> None:
    _settle(job, outcome)
    if isinstance(outcome, steps.Done):
        die_once("committed", job.step)


def submit(request: AnimationRequest, *, idempotency_key: str) -> str:
    die_once("intended", "call")
    provider_id = _submit(request, idempotency_key=idempotency_key)
    die_once("accepted", "call")
    return provider_id


def tell_provider(job: Job) -> None:
    die_once("rested", "cancel")
    _tell_provider(job)
    die_once("told", "cancel")


def run_in_transaction(*arguments: Any) -> Any:
    result = _run_in_transaction(*arguments)
    die_once("committed", "cancel")
    return result


animator = studio.providers.animator_named("fake")
_submit = animator.submit
steps.perform, steps.settle = perform, settle
canceling.tell_provider, canceling.run_in_transaction = tell_provider, run_in_transaction
animator.submit = submit  # type: ignore[method-assign]


if __name__ == "__main__":
    keep_alive(broker, workers=1, threads=2)
