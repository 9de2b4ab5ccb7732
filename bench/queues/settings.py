"""What the bench and the processes it starts have to agree on."""

from __future__ import annotations

import json

# The names of environment variables.
BROKER, ADDRESS, RECORDS, PROCESSES, HOLDS = (
    f"BENCH_{name}" for name in ("BROKER", "ADDRESS", "RECORDS", "PROCESSES", "HOLDS")
)
QUEUE = "bench"
DATABASE = "bench"
ACTORS = "bench.queues.actors"
ARGUMENT_BYTES = 200


def arguments(number: int) -> tuple[int, str]:
    """The arguments of a message, 200 bytes of JSON whatever the number."""
    room = ARGUMENT_BYTES - len(json.dumps([number, ""]))
    return number, "x" * room
