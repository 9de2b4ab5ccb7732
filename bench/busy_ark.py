"""Ark's simulator as a process of its own, which remembers when it was asked for what: `python -m bench.busy_ark`."""

from __future__ import annotations

import argparse
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, ClassVar

from tests.providers.ark_simulator import ArkSimulator
from tests.providers.simulator import Fault, Reply, Request, Task, operation


class BusyArk(ArkSimulator):
    """One that thousands of tasks are asked of: it keeps times instead of requests."""

    name: ClassVar[str] = "ark"

    def __init__(self, *, generation_s: float, film: Path) -> None:
        super().__init__()
        self.generation_s = generation_s
        self.film = film.read_bytes()
        self.looked: defaultdict[str, list[float]] = defaultdict(list)
        """When somebody looked at a task, in seconds since the epoch."""

    def answer(self, request: Request) -> tuple[Reply | None, Fault | None]:
        answered = super().answer(request)
        # A drawing in each of thousands of requests is more than anybody wants to keep.
        self.requests.clear()
        self.said.clear()
        return answered

    @operation("GET", "/api/v3/contents/generations/tasks/{task_id}", "look")
    def look(self, request: Request, task_id: str) -> Reply:
        self.looked[task_id].append(time.time())
        return super().look(request, task_id)

    @operation("GET", "/bench/tasks", "bench")
    def tell(self, _request: Request) -> Reply:
        """Every task so far: when it was accepted, when it was ready, when it was looked at."""
        tasks = list(self.tasks.values())
        return Reply(200, {task.id: [task.accepted_at, task.ready_at, self.looked[task.id]] for task in tasks})

    def accept(self, asked: dict[str, Any], *, task_id: str) -> Task:
        return super().accept({name: value for name, value in asked.items() if name != "content"}, task_id=task_id)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--generation-s", type=float, required=True)
    parser.add_argument("--film", type=Path, required=True)
    options = parser.parse_args()
    with BusyArk(generation_s=options.generation_s, film=options.film).running(options.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
