"""Finding the programs that Python wheels carry."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def in_wheel(package: str, *names: str) -> Path | None:
    """The file of one of these names that the installed package brought, made executable; None when there is none."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        path = Path(str(file.locate()))
        if file.name in names and path.is_file():
            return _executable(path)
    return None


def _executable(path: Path) -> Path:
    # pip and uv keep the mode; a wheel unpacked by Python's zipfile has lost it.
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)
    return path.resolve()
