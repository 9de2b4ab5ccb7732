"""How fast messages go in and come out."""

from __future__ import annotations

from collections.abc import Container

from bench.queues.place import Place, until

PATIENCE_S = 300.0


def measure(place: Place, messages: int, parts: Container[str]) -> dict[str, list[float]]:
    """One round: in singly, out through one process, in as a whole, out through two processes."""
    found = {}
    if "enqueue" in parts or "drain" in parts:
        sent = place.send("single", messages)
        found["enqueue"] = [sent["rate"]]
        if "bare" in sent:
            found["bare insert_one"] = [sent["bare"]]
    if "drain" in parts:
        found["drain 1"] = [_drain(place, messages, processes=1)]
    if "bulk" in parts:
        found["bulk"] = [place.send("bulk", messages)["rate"]]
    elif "drain" in parts:
        place.send("single", messages)
    if "drain" in parts:
        found["drain 2"] = [_drain(place, messages, processes=2)]
    return found


def _drain(place: Place, messages: int, *, processes: int) -> float:
    """Messages per second from the first one run to the last one run."""
    with place.workers(processes) as workers:
        if not until(lambda: workers.records.runs().distinct >= messages, limit_s=PATIENCE_S):
            raise TimeoutError(f"{place.kind.name} did not run {messages} messages")
        return workers.records.runs().per_second
