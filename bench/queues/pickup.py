"""How soon an idle worker starts what is sent."""

from __future__ import annotations

import time

from bench.queues.place import Place, until
from bench.queues.records import Records, Runs

SETTLE_S = 3.0
PATIENCE_S = 60.0


def measure(place: Place, *, paced: int, rare: int) -> dict[str, list[float]]:
    """Milliseconds from just before `send` to the first line of the actor, for messages sent by another process."""
    with place.workers() as workers:
        time.sleep(SETTLE_S)
        found = {}
        for way, count in (("paced", paced), ("rare", rare)):
            sent = {int(number): at_ns for number, at_ns in place.send(way, count).items()}
            found[f"pickup {way}"] = _all_waits_ms(workers.records, sent)
    return found


def _all_waits_ms(records: Records, sent: dict[int, int]) -> list[float]:
    """Raises TimeoutError when messages do not run at all."""
    if not until(lambda: len(_waits_ms(records.runs(), sent)) == len(sent), limit_s=PATIENCE_S):
        raise TimeoutError("not every message was run")
    return _waits_ms(records.runs(), sent)


def _waits_ms(runs: Runs, sent: dict[int, int]) -> list[float]:
    """How long each message waited; one that has not run is missing."""
    first: dict[int, int] = {}
    for at_ns, number in zip(runs.times_ns.tolist(), runs.numbers.tolist(), strict=True):
        # Both ways count from zero: what ran before it was sent belongs to the other way.
        if at_ns >= sent.get(number, at_ns + 1):
            first.setdefault(number, at_ns)
    return [(at_ns - sent[number]) / 1e6 for number, at_ns in first.items()]
