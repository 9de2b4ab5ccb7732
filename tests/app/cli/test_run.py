from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.cli.run import _is_open_to_others
from app.stack.ports import free_port
from app.stack.processes import session_members
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]


class Run:
    """A `huaban run` in a process of its own, with a small web application and worker."""

    def __init__(self, data: Path, env: dict[str, str], *options: str) -> None:
        self.output = data.with_suffix(".output")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "app.cli", "run", "--data", data, "--port", str(free_port()),
                    "--threads", "2", "--web-app", "tests.app.stack.dummy_web:app",
                    "--actors", "tests.app.stack.dummy_actors", *options,
                ],
                cwd=ROOT, stdout=output, stderr=output, env=env, start_new_session=True,
            )  # fmt: skip

    @property
    def words(self) -> str:
        return self.output.read_text()

    def opened(self) -> bool:
        assert self.process.poll() is None, self.words
        return "Open http://localhost:" in self.words

    def parts(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


@pytest.fixture
def env(alone: None) -> dict[str, str]:
    own = {"MONGODB_URI", "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"}
    return {name: value for name, value in os.environ.items() if name not in own} | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def running(tmp_path: Path, env: dict[str, str]) -> Iterator[Run]:
    run = Run(tmp_path / "data", env)
    try:
        eventually(run.opened, limit_s=120)
        yield run
    finally:
        run.process.kill()
        run.process.wait()


def test_killed_run_leaves_no_process_and_can_be_started_again_at_once(
    running: Run, tmp_path: Path, env: dict[str, str]
) -> None:
    parts = running.parts()
    assert len(parts) == 5  # the four and their warden
    assert "S3_PUBLIC_ENDPOINT" not in running.words
    running.process.kill()
    running.process.wait()
    again = Run(tmp_path / "data", env, "--host", "0.0.0.0")  # noqa: S104 - is meant
    eventually(lambda: again.opened() and again.words.count("Open http") == 2, limit_s=120)
    eventually(lambda: not any(session_members(part) for part in parts))
    assert "S3_PUBLIC_ENDPOINT" in again.words, "other machines reach the page, and not its media"
    again.process.kill()
    again.process.wait()


def test_second_run_is_refused_and_sigterm_stops_the_first(running: Run, tmp_path: Path, env: dict[str, str]) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "app.cli", "run", "--data", tmp_path / "data"],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    what, mend = second.stderr.splitlines()
    assert f"already running on {tmp_path / 'data'} (process {running.process.pid})" in what
    assert "--data" in mend
    parts = running.parts()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait() == 0
    assert not any(session_members(part) for part in parts)
    assert "Traceback" not in running.words


def test_store_of_ones_own_that_does_not_answer_ends_run_with_the_cure(tmp_path: Path, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "run", "--data", tmp_path / "data"],
        cwd=ROOT, env=env | {"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    what, mend = done.stderr.splitlines()
    assert "does not answer" in what
    assert "S3_ENDPOINT" in mend


@pytest.mark.parametrize(
    ("host", "public", "is_told"),
    [
        ("127.0.0.1", "http://localhost:8000", False),
        ("0.0.0.0", "http://localhost:8000", True),  # noqa: S104 - is meant
        ("0.0.0.0", "http://studio.example:8080", False),  # noqa: S104 - is meant
    ],
)
def test_run_for_other_machines_says_where_media_are(host: str, public: str, *, is_told: bool) -> None:
    stack: Any = SimpleNamespace(host=host, env={"S3_PUBLIC_ENDPOINT": public})
    assert _is_open_to_others(stack) is is_told
