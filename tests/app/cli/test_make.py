"""What the Makefile hands on to the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = ("DRAWING", "AUDIO", "STORY", "TITLE", "PORT", "HUABAN_DATA")


def through_make(folder: Path, environment: dict[str, str], *given: str) -> dict[str, str]:
    """Those of the variables that a recipe sees, for these in the environment and those on make's command line."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    show = folder / "show.mk"
    show.write_text("show:\n\t@env --null\n")
    kept = {name: value for name, value in os.environ.items() if name not in NAMES and not name.startswith("MAKE")}
    printed = subprocess.run(
        [make, "--silent", "-f", ROOT / "Makefile", "-f", show, "show", *given],
        cwd=folder, env=kept | environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows = dict(row.split("=", 1) for row in printed.split("\0") if row)
    return {name: rows[name] for name in NAMES if name in rows}


def test_variable_that_nobody_set_is_not_handed_on(tmp_path: Path) -> None:
    assert through_make(tmp_path, {}) == {}


def test_story_arrives_as_it_was_written(tmp_path: Path) -> None:
    story = 'It cost $5 & 50%, "she" said `ls` #1 $(shell echo) it\'s \\ 故事'
    seen = through_make(tmp_path, {"TITLE": story, "PORT": "9000"}, f"STORY={story}", "PORT=9001")
    assert seen == {"TITLE": story, "STORY": story, "PORT": "9001"}
