"""Faults of every kind while messages are sent and run: what is promised is kept."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from rich.console import Console

from tests.faults.nemesis import Campaign, run
from tests.faults.verdicts import show, told


@pytest.mark.timeout(400)
def test_every_promise_is_kept_through_faults_of_every_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("HUABAN_SEED") or secrets.randbelow(10**6))
    report = run(Campaign(seed, messages=1000, faults=8), tmp_path)
    with capsys.disabled():
        Console(soft_wrap=True).print(f"\n{told(report)}", highlight=False)
    show(report, Console(width=100))
    assert report.is_clean, f"repeat it with HUABAN_SEED={seed}"
