"""What a worker process costs that has nothing to do."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient

from bench.figures import cpu_s
from bench.queues.place import Place, until

IDLE_FOR_S = 10.0
SETTLE_S = 8.0
_MONITORING = {"hello", "isMaster", "ismaster"}
"""How MongoDB's drivers watch their server, a few times a minute for each client. Counted apart."""
_OWN = {"serverStatus", "info"}


def measure(place: Place) -> dict[str, list[float]]:
    """Of one worker process with one queue: CPU in percent, and commands a second where the server counts them.

    The worker process is counted with its companions, such as the guardian; Dramatiq's main process is apart.
    """
    with place.workers() as workers:
        # The first message brings up what waits for the first use.
        place.send("single", 2)
        until(lambda: len(workers.records.runs()) >= 2, limit_s=60)
        time.sleep(SETTLE_S)
        [worker] = workers.records.pids()
        own = _commands(place)
        before, own = _commands(place), _commands(place) - own
        process_s, all_s = cpu_s(worker), cpu_s(workers.command.pid)
        time.sleep(IDLE_FOR_S)
        process_s, all_s = cpu_s(worker) - process_s, cpu_s(workers.command.pid) - all_s
        asked = _commands(place) - before - own
    found = {
        "idle CPU": [100 * process_s / IDLE_FOR_S],
        "idle CPU of main": [100 * (all_s - process_s) / IDLE_FOR_S],
    }
    if asked:
        monitoring = sum(count for name, count in asked.items() if name in _MONITORING)
        found["idle commands"] = [(asked.total() - monitoring) / IDLE_FOR_S]
        found["idle monitoring"] = [monitoring / IDLE_FOR_S]
    return found


def _commands(place: Place) -> Counter[str]:
    """How often each command was run on the server so far, without the asking for this; empty where it is not told."""
    if place.kind.name == "ours":
        with MongoClient[dict[str, Any]](place.address) as client:
            counts = client.admin.command("serverStatus")["metrics"]["commands"]
        totals = {name: count["total"] for name, count in counts.items() if isinstance(count, dict)}
    elif place.kind.package == "redis":
        totals = _redis_commands(place.address)
    else:
        totals = {}
    return Counter({name: total for name, total in totals.items() if name not in _OWN})


def _redis_commands(address: str) -> dict[str, int]:
    from redis import Redis

    where = urlsplit(address)
    with Redis(host=str(where.hostname), port=where.port or 0) as client:
        stats: Any = client.info("commandstats")
    # Scripts count their inner commands too; those cost the worker no round trip.
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}
