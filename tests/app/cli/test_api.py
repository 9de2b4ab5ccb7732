from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # Set once and deleted, so that what the command takes from a .env is taken back after the test.
    for name in ("OWNER_KEY", "AUTH_MODE", "TOKEN_SECRETS", "LOG_LEVEL", "PORT", "S3_REGION"):
        monkeypatch.setenv(name, "")
    return tmp_path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the server is asked for, in place of serving."""
    asked: dict[str, object] = {}
    monkeypatch.setattr("app.server.run", lambda app, **options: asked.update(options, app=app))
    return asked


def huaban(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_api_without_an_owner_key_says_what_to_set(served: dict[str, object]) -> None:
    done = huaban("api")
    assert done.exit_code == 1
    what, mend = done.stderr.splitlines()
    assert "OWNER_KEY is not set" in what
    assert mend.startswith("Set OWNER_KEY")
    assert not served


@pytest.mark.parametrize("command", ["api", "run"])
def test_tokens_are_not_promised_without_a_secret(
    command: str, served: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNER_KEY", "long-and-random")
    monkeypatch.setenv("AUTH_MODE", "token")
    done = huaban(command)
    assert done.exit_code == 1
    what, mend = done.stderr.splitlines()
    assert "TOKEN_SECRETS is not set" in what
    assert mend.startswith("Set TOKEN_SECRETS")
    assert not served


@pytest.mark.parametrize("command", ["api", "worker", "run", "demo"])
def test_setting_that_is_not_valid_ends_a_command_with_two_lines(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    done = huaban(command)
    assert done.exit_code == 1
    what, mend = done.stderr.splitlines()
    assert "LOG_LEVEL" in what
    assert ".env" in mend
    assert not list(folder.iterdir())


def test_env_file_speaks_where_the_environment_is_empty(
    folder: Path, served: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("OWNER_KEY=long-and-random\nPORT=9000\nS3_REGION=eu-1\nLOG_LEVEL=\n")
    monkeypatch.setenv("S3_REGION", "us-2")
    # Not the product, whose actors are wired for good by whoever imports them first.
    assert huaban("api", "--web-app", "tests.app.stack.dummy_web:app").exit_code == 0
    assert served["port"] == 9000
    assert os.environ["PORT"] == "9000"
    assert os.environ["S3_REGION"] == "us-2"


def test_port_that_is_taken_is_not_shared(served: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER_KEY", "long-and-random")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = huaban("api", "--port", str(port))
    assert done.exit_code == 1
    assert str(port) in done.stderr
    assert not served
