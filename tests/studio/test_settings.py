from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from studio.settings import Settings


@pytest.fixture(autouse=True)
def folder_with_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with nothing of the machine's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "WORKER_THREADS", "FFMPEG", "MONGODB_URI", "LOG_LEVEL", "AUTH_MODE"):
        monkeypatch.setenv(name, "")
    assert Settings() == Settings.model_validate({})
    assert Settings().port == 8080
    assert Settings().ffmpeg is None


def test_empty_line_of_the_env_file_counts_as_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FFMPEG=\nPORT=\n")
    assert Settings().ffmpeg is None
    assert Settings().port == 8080


def test_env_file_speaks_where_the_environment_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=9000\nWORKER_THREADS=3\n")
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("WORKER_THREADS", "2")
    assert (Settings().port, Settings().worker_threads) == (9000, 2)


def test_log_level_may_be_written_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "warning")
    assert Settings().log_level == "WARNING"


def test_log_level_that_there_is_not_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ValidationError, match="'DEBUG', 'INFO'"):
        Settings()
