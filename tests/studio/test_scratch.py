from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from studio import scratch

KILLED_AT_WORK = """
import os, signal, tempfile
from studio import scratch
with scratch.scratch_folder() as folder:
    (folder / "voice.ogg").write_bytes(b"a story")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make_old(folder: Path) -> None:
    long_ago = time.time() - 2 * scratch.YOUNG_S
    os.utime(folder, (long_ago, long_ago))


def test_what_a_killed_process_has_left_is_removed(temporary: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_AT_WORK], check=False, env={**os.environ, "TMPDIR": str(temporary)}
    )
    assert ended.returncode == -signal.SIGKILL
    [left] = temporary.iterdir()

    assert scratch.sweep() == 0, "it could be one that is about to be locked"
    make_old(left)
    assert scratch.sweep() == 1
    assert list(temporary.iterdir()) == []


def test_a_folder_in_use_stays_however_old_it_is(temporary: Path) -> None:
    with scratch.scratch_folder() as folder:
        make_old(folder)
        assert scratch.sweep() == 0
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


def test_nothing_but_our_own_folders_is_removed(temporary: Path) -> None:
    kept = temporary / "kept"
    kept.mkdir()
    (temporary / f"{scratch.PREFIX}link").symlink_to(kept)
    (temporary / f"{scratch.PREFIX}file").write_bytes(b"")
    for path in temporary.iterdir():
        make_old(path)

    assert scratch.sweep() == 0
    assert kept.is_dir()


def test_whoever_works_here_sweeps_once_in_a_while(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[None] = []
    monkeypatch.setattr(scratch, "sweep", lambda: swept.append(None))
    monkeypatch.setattr(scratch, "_swept_at", -scratch.SWEEP_EVERY_S + time.monotonic())
    for _ in range(3):
        with scratch.scratch_folder():
            pass
    for thread in threading.enumerate():
        if thread.name == "scratch-sweep":
            thread.join()
    assert len(swept) == 1
