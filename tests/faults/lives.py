"""Workers that die, and those that follow them: forked from a process that has imported everything already.

The command line would take three seconds for each life.
"""

from __future__ import annotations

import os
import signal

import dramatiq

from broker import MongoBroker

_TO_STOP = {signal.SIGTERM}


def keep_alive(broker: MongoBroker, *, workers: int, threads: int) -> None:
    """Keep so many worker processes alive until told to stop."""
    # Taken up by those who wait for it, and by nobody in the middle of a fork, which would lose it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _TO_STOP)
    living: set[int] = set()
    is_told = False
    while living or not is_told:
        while not is_told and len(living) < workers:
            child = os.fork()
            if child == 0:
                _live(broker, threads)
                os._exit(0)
            living.add(child)
        if signal.sigtimedwait(_TO_STOP, 0.05):
            is_told = True
            for pid in living:
                os.kill(pid, signal.SIGTERM)
        living -= {pid for pid in living if os.waitpid(pid, os.WNOHANG) != (0, 0)}


def _live(broker: MongoBroker, threads: int) -> None:
    """Work until death, or until told to stop."""
    worker = dramatiq.Worker(broker, worker_threads=threads)
    worker.start()
    while not signal.sigtimedwait(_TO_STOP, 0.1):
        pass
    worker.stop()
