"""What becomes of the messages of a worker that is killed."""

from __future__ import annotations

import math
import os
import signal
import time

from bench.queues.place import Place, Workers, until

HELD = 100
THREADS = 8
SETTLE_S = 5.0
PATIENCE_S = 90.0


def measure(place: Place, *, with_companions: bool) -> dict[str, list[float]]:
    """Seconds from the SIGKILL until another worker process has run the last of the messages, and how many it missed.

    `with_companions`: everything dies that belongs to the worker, as with its machine; else the worker process alone.
    """
    place.send("single", HELD)
    with place.workers(holds=HELD) as doomed:
        until(lambda: len(doomed.records.runs()) == THREADS, limit_s=60)
        time.sleep(SETTLE_S)
        with place.workers() as heir:
            time.sleep(SETTLE_S)
            held = HELD - heir.records.runs().distinct
            killed_ns = time.monotonic_ns()
            _kill(doomed, with_companions=with_companions)
            is_recovered = until(lambda: heir.records.runs().distinct == HELD, limit_s=PATIENCE_S)
            runs = heir.records.runs()
    took_s = (int(runs.times_ns.max()) - killed_ns) / 1e9 if is_recovered else math.inf
    name = "recovery" if with_companions else "recovery, process alone"
    return {name: [took_s], f"{name}, held": [held], f"{name}, not done": [HELD - runs.distinct]}


def _kill(doomed: Workers, *, with_companions: bool) -> None:
    if with_companions:
        doomed.kill()
    else:
        for pid in doomed.records.pids():
            os.kill(pid, signal.SIGKILL)
