from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pymongo import MongoClient

from app.cli import main
from app.stack import Servers
from app.stack.ports import free_port
from broker import run_in_transaction
from studio.ledger import Ledger
from studio.migrations import migrate
from studio.records import CODEC, Document, new_id
from studio.settings import Settings


class Till:
    """Where a deployment pays."""

    def __init__(self, client: MongoClient[Document], name: str) -> None:
        self._client = client
        database = client.get_database(name, codec_options=CODEC)
        migrate(database)
        self._ledger = Ledger(database, Settings())

    def pay(self, micros: int | None, *, settled: int | None = None, in_doubt: bool = False, **fields: str) -> None:
        entry_id = new_id()
        told: dict[str, Any] = {"provider": "ark", "capability": "animator", "currency": "CNY", **fields}

        def work(session: Any) -> None:
            at = self._ledger.today()
            self._ledger.reserve(
                entry_id, owner="somebody", job_id="job", model="m", micros=micros, at=at, session=session, **told
            )
            if settled is not None:
                self._ledger.settle(entry_id, settled, session=session)
            if in_doubt:
                self._ledger.doubt(entry_id, session=session)

        run_in_transaction(self._client, work)


@pytest.fixture
def till(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Till]:
    """The deployment that the environment names."""
    name = f"cli_{secrets.token_hex(4)}"
    monkeypatch.chdir(tmp_path)
    for variable, value in {**servers.env, "MONGODB_DB": name, "LC_ALL": "C", "COLUMNS": "120"}.items():
        monkeypatch.setenv(variable, value)
    with MongoClient[Document](servers.mongodb_uri) as client:
        yield Till(client, name)
        client.drop_database(name)


def spend(*words: str) -> Result:
    return CliRunner().invoke(main, ["spend", *words])


def test_spending_is_told_by_day_and_summed_by_currency(till: Till) -> None:
    till.pay(1_500_000)
    till.pay(3_000_000, settled=2_000_000)
    till.pay(250_000, in_doubt=True, capability="painter")
    till.pay(80_000, settled=70_000, provider="openai", capability="writer", currency="USD")
    result = spend()
    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    assert [row[1:] for row in rows if row[1:2] in (["ark"], ["openai"])] == [
        ["ark", "animator", "CNY", "2", "1.50", "2.00", "0.00"],
        ["ark", "painter", "CNY", "1", "0.00", "0.00", "0.25"],
        ["openai", "writer", "USD", "1", "0.00", "0.07", "0.00"],
    ]
    assert ["Sum", "CNY", "3", "1.50", "2.00", "0.25"] in rows
    assert ["Sum", "USD", "1", "0.00", "0.07", "0.00"] in rows
    assert "somebody" not in result.output
    assert "no known price" not in result.output


def test_calls_without_a_price_are_pointed_out(till: Till) -> None:
    till.pay(None)
    assert "1 calls have no known price" in spend().output


def test_caps_are_told_with_what_is_used_of_them(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    till.pay(1_500_000)
    monkeypatch.setenv("SPEND_CAP_DAY", "CNY 1.5")
    monkeypatch.setenv("SPEND_CAP_TOTAL", "CNY 1000, USD 20")
    monkeypatch.setenv("SPEND_CAP_CLIENT_DAY", "CNY 1")
    told = spend().output
    for line in ("Today: CNY 1.50 of 1.50", "In all: CNY 1.50 of 1,000.00", "In all: USD 0.00 of 20.00"):
        assert line in told.splitlines()
    caps = json.loads(spend("--json").stdout)["caps"]
    assert caps[0] == {
        "scope": "day", "currency": "CNY", "cap_micros": 1_500_000, "spent_micros": 1_500_000, "left_micros": 0
    }  # fmt: skip
    assert [cap["scope"] for cap in caps] == ["day", "total", "total"]


def test_scripts_are_told_the_same_in_whole_numbers(till: Till) -> None:
    till.pay(1_500_000)
    [row] = json.loads(spend("--json", "--days", "2").stdout)["spending"]
    assert len(row.pop("day")) == len("2026-11-22")
    assert row == {
        "provider": "ark", "capability": "animator", "currency": "CNY", "calls": 1, "unpriced": 0,
        "open_micros": 1_500_000, "settled_micros": 0, "uncertain_micros": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("language", "words"), [("C", "Nothing was paid for"), ("zh_CN.UTF-8", "没有付费调用")])
def test_a_deployment_that_paid_for_nothing_says_so(
    till: Till, monkeypatch: pytest.MonkeyPatch, language: str, words: str
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    assert words in spend().output
    assert json.loads(spend("--json").stdout) == {"spending": [], "caps": []}


def test_a_wrong_call_or_setting_ends_the_command(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    assert spend("--days", "0").exit_code == 2
    monkeypatch.setenv("SPEND_CAP_DAY", "a lot")
    result = spend()
    assert result.exit_code == 1
    assert "SPEND_CAP_DAY" in result.stderr
    assert "CNY 50, USD 7.5" in result.stderr


def test_without_a_database_it_says_how_to_reach_one(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stack.outside.LIMIT_S", 0.2)
    monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{free_port()}")
    result = spend()
    assert result.exit_code == 1
    assert "MONGODB_URI" in result.stderr
