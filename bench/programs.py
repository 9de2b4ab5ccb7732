"""Programs beside the product: installing them, and running one for a while."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.stack import tether


def install(packages: Iterable[str]) -> None:
    """Install by apt, and leave nothing of it running as a service of the system. Raises CalledProcessError."""
    missing = sorted(packages)
    if not missing:
        return
    if not shutil.which("apt-get"):
        sys.exit(f"There is no apt here. Install {' and '.join(missing)} in your system's own way.")
    root = [] if os.geteuid() == 0 else ["sudo"]
    # At run level 1 Debian's packages start no service where there is no systemd.
    env = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]
    subprocess.run([*root, "apt-get", "update"], check=True)
    subprocess.run([*root, *env, "apt-get", "install", "--yes", "--no-install-recommends", *missing], check=True)
    if Path("/run/systemd/system").exists():
        subprocess.run([*root, "systemctl", "disable", "--now", *missing], check=False)


@contextmanager
def running(command: list[str], folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with the block, and with this process if that is killed. Its words go to `folder`/log."""
    tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]
    with (folder / "log").open("ab") as log:
        program = subprocess.Popen(tethered, env={**os.environ, **env}, cwd=folder, stdout=log, stderr=log)
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
