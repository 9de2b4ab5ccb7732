"""Become a program that does not outlive the supervisor: `python -I -S tether.py <supervisor pid> <program> ...`.

Linux sends SIGTERM to a process whose parent thread died, when the process asked for it (PR_SET_PDEATHSIG). That
holds even when the supervisor was killed with SIGKILL and could tell nobody. The request survives exec, so it is made
here, in a process of its own, and not between fork and exec of the supervisor, whose threads make that place unsafe.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    supervisor, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    # The supervisor may have died before the request was made: then nobody would send the signal any more.
    if os.getppid() != int(supervisor):
        sys.exit("the supervisor is gone")
    os.execvp(command[0], command)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
