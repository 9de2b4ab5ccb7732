"""A long campaign of the nemesis: `python -m tests.faults.soak [--seed N] [--messages N] [--faults N]`."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.faults.nemesis import Campaign, run
from tests.faults.verdicts import show, told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder for the history and the logs, kept; by default none is")
    given = parser.parse_args()
    # Whoever ends it early wants everything else ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))
    console = Console()
    console.print(f"{given.messages:,} messages, {given.faults} faults, seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="nemesis-history-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = run(Campaign(given.seed, given.messages, given.faults, settle_s=300.0), folder)
    show(report, console)
    console.print(told(report))
    sys.exit(not report.is_clean)


if __name__ == "__main__":
    main()
