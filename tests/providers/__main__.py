"""Run a simulator for people: `python -m tests.providers ark --port 9100 --generation-s 20 --film film.mp4`.

It prints the settings that make HuaBan talk to it, in the form of a .env file, and serves until it is stopped.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import tests.providers
from studio.providers.cards import prefix_of
from studio.providers.registry import _SETTINGS, _registry
from tests.providers.simulator import Simulator
from tests.studio import made


def simulators() -> dict[str, type[Simulator]]:
    """By name, each whole service: what nothing else is composed of."""
    for module in pkgutil.iter_modules(tests.providers.__path__, "tests.providers."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    known = [kind for kind in _below(Simulator) if not kind.__subclasses__()]
    return {kind.name: kind for kind in known if hasattr(kind, "name")}


def _below(kind: type[Simulator]) -> Iterator[type[Simulator]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _below(inner)


def settings_of(simulator: Simulator) -> Iterator[str]:
    """The lines of a .env that choose it, for all that it can do."""
    lines = simulator.env()
    for capability, setting in _SETTINGS.items():
        names = [name for name in _registry[capability] if f"{prefix_of(name)}_BASE_URL" in simulator.env()]
        # One is enough to try, and the first is the one that needs least.
        if names:
            lines[setting.upper()] = names[0]
    for name, value in lines.items():
        yield f"{name}={value}"


def main() -> None:
    known = simulators()
    parser = argparse.ArgumentParser(prog="python -m tests.providers", description="Run a simulated service.")
    parser.add_argument("name", choices=sorted(known))
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any that is free")
    parser.add_argument("--generation-s", type=float, default=5.0, help="how long a task takes, in seconds")
    parser.add_argument("--film", type=Path, help="what a finished task has made; a test card if not given")
    given = parser.parse_args()

    simulator = known[given.name]()
    simulator.generation_s = given.generation_s
    simulator.film = (given.film or _test_card()).read_bytes()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with simulator.running(given.port):
        for line in settings_of(simulator):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        stopped.wait()


def _test_card() -> Path:
    # Without a sound, as most services make them: the child's own voice tells the story.
    return made.clip(Path(tempfile.mkdtemp()) / "film.mp4", seconds=2.0, sound=False)


if __name__ == "__main__":
    main()
