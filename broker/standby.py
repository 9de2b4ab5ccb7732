"""Where a guardian waits before it is needed: a bare interpreter, which imports nothing but the standard library.

What a guardian needs takes a third of a second of CPU to import. A worker that has just started has better use for it,
and renews its lease itself until the guardian begins; but should it die meanwhile, the guardian must be there, because
only it knows what was running.

Started by `leases` as a program. Standard input brings a line of JSON, then the guardian's orders in as many bytes as
it says, and is kept open for as long as the worker lives.
"""

import json
import os
import runpy
import select
import signal
import sys
from pathlib import Path

STANDBY_S = 3.0
"""How old a worker is when its guardian begins, unless it dies before."""


def main() -> None:
    """Take the orders, wait until they are to be followed, and become the guardian."""
    # The worker decides when it stops; a Ctrl-C or a stop of the whole group must not take its guardian first.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Read unbuffered: nothing may be left in a buffer that `select` cannot see.
    with os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0, closefd=True) as pipe:
        header = json.loads(pipe.readline())
        orders = b""
        while len(orders) < header["bytes"] and (part := pipe.read(header["bytes"] - len(orders))):
            orders += part
    select.select([sys.stdin], [], [], header["standby_s"])
    sys.path[:] = header["path"]
    runpy.run_path(str(Path(__file__).with_name("guardian.py")), {"ORDERS": orders}, run_name="__main__")


if __name__ == "__main__":
    main()
