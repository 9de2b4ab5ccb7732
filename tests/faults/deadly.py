"""Actors that kill their worker process, once at each point of each step. `python -m tests.faults.deadly`.

A worker that died is followed by a new one, forked from a process that has imported everything already: the command
line would take three seconds for each of twenty lives.

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

import dramatiq

# First, because it makes the fake known before anything imports the actors.
from tests.worker import broker, studio  # isort: skip

from actors import steps
from studio.jobs import Job
from studio.providers import AnimationRequest

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


animator = studio.providers.animator
_submit = animator.submit
steps.perform, steps.settle = perform, settle
canceling.tell_provider, canceling.run_in_transaction = tell_provider, run_in_transaction
animator.submit = submit  # type: ignore[method-assign]


TO_STOP = {signal.SIGTERM}


def live() -> None:
    """Work until death, or until told to stop."""
    worker = dramatiq.Worker(broker, worker_threads=2)
    worker.start()
    while not signal.sigtimedwait(TO_STOP, 0.1):
        pass
    worker.stop()


def main() -> None:
    """Let one worker follow the other until told to stop."""
    # Taken up by those who wait for it, and by nobody in the middle of a fork, which would lose it.
    signal.pthread_sigmask(signal.SIG_BLOCK, TO_STOP)
    is_told = False
    while not is_told:
        child = os.fork()
        if child == 0:
            live()
            os._exit(0)
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if is_told or signal.sigtimedwait(TO_STOP, 0.05):
                is_told = True
                os.kill(child, signal.SIGTERM)


if __name__ == "__main__":
    main()
