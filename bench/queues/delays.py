"""Whether messages that are not due yet take memory of a worker."""

from __future__ import annotations

import time

from bench.figures import rss_bytes
from bench.queues.place import Place, until

DELAYED = 100_000
SETTLE_S = 10.0
MEGABYTE = 1_000_000


def measure(place: Place) -> dict[str, list[float]]:
    """Megabytes of a worker process and its companions, before and after messages for tomorrow were sent."""
    with place.workers() as workers:
        place.send("single", 1000)
        until(lambda: workers.records.runs().distinct >= 1000, limit_s=60)
        time.sleep(SETTLE_S)
        [worker] = workers.records.pids()
        before = rss_bytes(worker)
        place.send("delayed", DELAYED)
        time.sleep(SETTLE_S)
        after = rss_bytes(worker)
    return {"memory before": [before / MEGABYTE], "memory after": [after / MEGABYTE]}
