"""What this bench needs and Python does not bring: wrk, and Node with Express."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench import programs

_EXPRESS = Path(__file__).parent.parent / "express"


def install() -> None:
    """Install by apt what is missing. Raises CalledProcessError."""
    programs.install(_missing())


def lacks() -> str:
    """What is missing on this machine, and how to get it; empty when nothing is."""
    missing = " and ".join(_missing())
    return f"{missing}: not installed. python -m bench web --install, or apt install {missing}" if missing else ""


def express(folder: Path) -> list[str]:
    """The command that starts the Express server, after installing it into a folder. Raises CalledProcessError."""
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "server.js"):
        shutil.copy(_EXPRESS / name, folder)
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--omit=dev", "--silent"]
    subprocess.run(["npm", "install", *options], cwd=folder, check=True)  # noqa: S607 - found as a person's would be
    return ["node", "server.js"]


def _missing() -> list[str]:
    return [name for name in ("wrk", "npm") if not shutil.which(name)]
