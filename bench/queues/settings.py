"""What the bench and the processes it starts have to agree on; the names are those of environment variables."""

BROKER, ADDRESS, RECORDS, PROCESSES, HOLDS = (
    f"BENCH_{name}" for name in ("BROKER", "ADDRESS", "RECORDS", "PROCESSES", "HOLDS")
)
QUEUE = "bench"
DATABASE = "bench"
ACTORS = "bench.queues.actors"
