"""How fast messages go in and come out, and what the way out costs."""

from __future__ import annotations

import os
from collections.abc import Container

from bench.figures import cpu_s
from bench.queues.place import Place, Workers, until

PATIENCE_S = 300.0


def measure(place: Place, messages: int, parts: Container[str]) -> dict[str, list[float]]:
    """One round: in singly, out through one process, in as a whole, out through two processes."""
    found = {}
    if "enqueue" in parts or "drain" in parts:
        sent = place.send("single", messages)
        found["enqueue"] = [sent["rate"]]
        if "bare" in sent:
            found["bare"] = [sent["bare"]]
    if "drain" in parts:
        found |= _drain(place, messages, processes=1)
    if "bulk" in parts:
        found["bulk"] = [place.send("bulk", messages)["rate"]]
    elif "drain" in parts:
        place.send("single", messages)
    if "drain" in parts:
        found |= _drain(place, messages, processes=2)
    return found


def _drain(place: Place, messages: int, *, processes: int) -> dict[str, list[float]]:
    """Messages a second from the first one run to the last one run, and microseconds of CPU for each."""
    with place.workers(processes) as workers:
        worker_s, server_s = _cpu_s(workers)
        if not until(lambda: workers.records.runs().distinct >= messages, limit_s=PATIENCE_S):
            raise TimeoutError(f"{place.kind.name} did not run {messages} messages")
        after_worker_s, after_server_s = _cpu_s(workers)
        return {
            f"drain {processes}": [workers.records.runs().per_second],
            f"drain {processes}, worker CPU": [1e6 * (after_worker_s - worker_s) / messages],
            f"drain {processes}, server CPU": [1e6 * (after_server_s - server_s) / messages],
        }


def _cpu_s(workers: Workers) -> tuple[float, float]:
    """Seconds of CPU so far: of the workers and their companions, and of the server."""
    of_workers = cpu_s(workers.command.pid)
    # Whatever this process has started and is no worker serves.
    return of_workers, cpu_s(os.getpid()) - of_workers - sum(os.times()[:2])
