from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import ValidationError

from studio.settings import AppMode, Settings


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


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", " https://Huaban.example/ ,http://localhost:3003,, https://a.example:443")
    monkeypatch.setenv("TOKEN_SECRETS", f"{'a' * 32},{'b' * 40}")
    assert Settings().allowed_origins == ("https://huaban.example", "http://localhost:3003", "https://a.example")
    assert [len(secret.get_secret_value()) for secret in Settings().token_secrets] == [32, 40]
    assert "aaa" not in repr(Settings())


@pytest.mark.parametrize("origin", ["*", "huaban.example", "https://huaban.example/path", "https://a b", "https://u@a"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", f"https://huaban.example,{origin}")
    with pytest.raises(ValidationError, match="without a path"):
        Settings()


def test_the_public_address_is_a_page_that_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().origins == set()
    monkeypatch.setenv("PUBLIC_URL", "https://Drawings.example:443/huaban/")
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://friends.example")
    assert Settings().origins == {"https://drawings.example", "https://friends.example"}


@pytest.mark.parametrize("secrets", ["short", f"{'a' * 32},{'b' * 31}"])
def test_a_short_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, secrets: str) -> None:
    monkeypatch.setenv("TOKEN_SECRETS", secrets)
    with pytest.raises(ValidationError, match="at least 32 bytes"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "mode"),
    [
        ("APP_MODE", "dev", AppMode.DEV),
        ("APP_MODE", "production", AppMode.PRODUCTION),
        ("NODE_ENV", "development", AppMode.DEV),
        ("NODE_ENV", "production", AppMode.PRODUCTION),
        ("NODE_ENV", "test", AppMode.PRODUCTION),
        ("NODE_ENV", "", AppMode.PRODUCTION),
    ],
)
def test_development_is_said_in_two_ways(monkeypatch: pytest.MonkeyPatch, name: str, value: str, mode: AppMode) -> None:
    monkeypatch.delenv("NODE_ENV", raising=False)
    monkeypatch.setenv(name, value)
    assert Settings().app_mode is mode


def test_our_own_word_for_the_mode_goes_before_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_ENV", "development")
    monkeypatch.setenv("APP_MODE", "production")
    assert Settings().app_mode is AppMode.PRODUCTION


def test_what_is_told_elsewhere_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://mine.example/ended?from=huaban")
    with pytest.raises(ValidationError, match="WEBHOOK_SECRETS"):
        Settings()
    monkeypatch.setenv("WEBHOOK_SECRETS", f"whsec_{b64encode(bytes(range(24))).decode()}")
    assert Settings().webhook_url.startswith("https://mine.example")
    for url in ("mine.example", "ftp://mine.example", "https://me:password@mine.example/", "https://mine example/"):
        monkeypatch.setenv("WEBHOOK_URL", url)
        with pytest.raises(ValidationError) as refused:
            Settings()
        assert "password@" not in str(refused.value)


@pytest.mark.parametrize("name", ["WEBHOOK_SECRETS", "TASK_WEBHOOK_SECRETS"])
def test_a_webhooks_secret_that_protects_nothing_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "whsec_c2hvcnQ=")
    with pytest.raises(ValidationError, match="random bytes") as refused:
        Settings()
    assert "c2hvcnQ" not in str(refused.value)
