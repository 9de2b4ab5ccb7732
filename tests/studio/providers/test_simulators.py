"""Simulators as programs, for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.providers.__main__ import simulators

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["ark", "node"])
def test_a_simulator_runs_by_itself_and_prints_its_settings(name: str, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    arguments = [name, "--generation-s", "0", "--film", str(tmp_path / "film.mp4")]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.providers", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout
            settings = {}
            while "VIDEO_PROVIDER" not in settings:
                variable, _, value = program.stdout.readline().strip().partition("=")
                settings[variable] = value
            assert settings["VIDEO_PROVIDER"] == name
            url = settings[f"{name.upper()}_BASE_URL"]
            assert httpx.get(f"{url}/nothing").status_code == 404
        finally:
            program.terminate()
        assert program.wait(60) == 0


def test_every_service_is_there_once_and_whole() -> None:
    assert {"ark", "node"} <= set(simulators())
    assert simulators()["ark"].__name__ == "ArkSimulator"
