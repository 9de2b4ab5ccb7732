from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pymongo import MongoClient

from app.cli import main
from app.stack import Servers

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def deployment(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The database of a deployment that the environment names."""
    name = f"cli_{secrets.token_hex(4)}"
    monkeypatch.chdir(tmp_path)
    for variable, value in {**servers.env, "MONGODB_DB": name, "LC_ALL": "C"}.items():
        monkeypatch.setenv(variable, value)
    with MongoClient[Any](servers.mongodb_uri) as client:
        yield client[name]
        client.drop_database(name)


def webhooks(*words: str) -> Result:
    result = CliRunner().invoke(main, ["webhooks", *words])
    assert result.exit_code == 0, result.output
    return result


def tell(deployment: Any, number: int, status: str, *attempts: dict[str, Any]) -> None:
    job = {"job_id": "j", "artwork_id": "a", "kind": "video", "status": "succeeded", "version": 1, "finished_at": NOW}
    told = {"_id": f"msg_{number}", "owner": "o", "job": job, "status": status, "attempts": list(attempts)}
    times = {"created_at": NOW.replace(minute=number), "updated_at": NOW}
    deployment["deliveries"].insert_one({**told, **times})


def test_deliveries_are_listed_newest_first_with_how_they_came_out(deployment: Any) -> None:
    assert "Nothing was told" in webhooks().output
    tell(deployment, 1, "refused", {"at": NOW, "status_code": 410})
    tell(deployment, 2, "waiting", {"at": NOW, "reason": "ConnectError"}, {"at": NOW, "status_code": 500})
    first, second = webhooks().output.splitlines()
    assert first.startswith("msg_2  waiting ")
    assert first.endswith("ConnectError, 500")
    assert second.startswith("msg_1  refused ")
    assert webhooks("--status", "refused").output.splitlines() == [second]
    [told] = json.loads(webhooks("--json", "--limit", "1").output)
    assert (told["id"], told["job"], told["told"], told["status"]) == ("msg_2", "j", "job.succeeded", "waiting")
    assert told["created_at"] == "2026-11-22T09:02:00Z"
    assert [attempt["status_code"] for attempt in told["attempts"]] == [None, 500]
