from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from app.stack import Servers
from studio import migrations
from studio.errors import NotNow
from studio.migrations import MIGRATIONS, Migration, migrate
from studio.records import CODEC
from studio.schema import COLLECTIONS
from tests.studio.commands import Commands


@pytest.fixture
def database(servers: Servers) -> Iterator[Database[Any]]:
    with MongoClient[Any](servers.mongodb_uri) as client:
        database = client.get_database(f"migrations_{secrets.token_hex(4)}", codec_options=CODEC)
        yield database
        client.drop_database(database.name)


@pytest.fixture
def others(database: Database[Any], servers: Servers) -> Iterator[list[Database[Any]]]:
    """The same database, as ten processes see it that start at the same time."""
    clients = [MongoClient[Any](servers.mongodb_uri) for _ in range(10)]
    yield [client.get_database(database.name, codec_options=CODEC) for client in clients]
    for client in clients:
        client.close()


def declare(monkeypatch: pytest.MonkeyPatch, *declared: Migration) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", [*MIGRATIONS, *declared])


def index_names(database: Database[Any]) -> dict[str, set[str]]:
    return {name: set(database[name].index_information()) - {"_id_"} for name in database.list_collection_names()}


def test_migrations_are_numbered_in_order() -> None:
    numbers = [migration.number for migration in MIGRATIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_new_database_gets_every_collection_and_index_whoever_comes_first(
    database: Database[Any], others: list[Database[Any]]
) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(migrate, others))
    assert index_names(database) == {
        name: {model.document["name"] for model in collection.indexes} for name, collection in COLLECTIONS.items()
    }
    records = list(database["migrations"].find())
    assert {record["_id"] for record in records} == {migration.number for migration in MIGRATIONS}
    assert all(record.keys() == {"_id", "name", "finished_at"} for record in records)


def test_a_migration_is_run_once_by_ten_that_start_together(
    others: list[Database[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    second = Migration(len(MIGRATIONS) + 2, "second", lambda _database: runs.append("second"))
    declare(monkeypatch, Migration(len(MIGRATIONS) + 1, "first", lambda _database: runs.append("first")), second)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(migrate, others))
    migrate(others[0])
    assert runs == ["first", "second"]


def test_a_migration_whose_process_died_is_run_again(database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    def die_at_first(_database: Database[Any]) -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise SystemExit

    number = len(MIGRATIONS) + 1
    declare(monkeypatch, Migration(number, "deadly", die_at_first))
    with pytest.raises(SystemExit):
        migrate(database)
    monkeypatch.setattr(migrations, "PATIENCE_S", 0.0)
    with pytest.raises(NotNow):
        migrate(database)
    assert runs == [0], "its claim holds for a while: it might be alive"
    database["migrations"].update_one({"_id": number}, [{"$set": {"claimed_until": "$$NOW"}}])
    migrate(database)
    assert runs == [0, 1]
    assert database["migrations"].find_one({"_id": number, "finished_at": {"$type": "date"}, "claim": None})


def test_a_long_migration_keeps_its_claim(
    database: Database[Any], others: list[Database[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    number, renewed = len(MIGRATIONS) + 1, threading.Event()
    monkeypatch.setattr(migrations, "CLAIM_S", 0.03)

    def last_long(_database: Database[Any]) -> None:
        records = database["migrations"]
        # As if it had lasted for so long already.
        records.update_one({"_id": number}, [{"$set": {"claimed_until": "$$NOW"}}])
        give_up_at = time.monotonic() + 10
        while not records.find_one({"_id": number, "$expr": {"$gt": ["$claimed_until", "$$NOW"]}}):
            assert time.monotonic() < give_up_at
        renewed.set()

    declare(monkeypatch, Migration(number, "long", last_long))
    migrate(database)
    assert renewed.is_set()


def test_who_lost_the_claim_does_not_call_it_finished(database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    number, runs = len(MIGRATIONS) + 1, list[str]()

    def be_overtaken(_database: Database[Any]) -> None:
        runs.append("begun")
        if len(runs) == 1:
            lost = {"claim": "another's", "claimed_until": "$$NOW"}
            database["migrations"].update_one({"_id": number}, [{"$set": lost}])

    declare(monkeypatch, Migration(number, "overtaken", be_overtaken))
    migrate(database)
    assert runs == ["begun", "begun"], "the first run may have been cut off anywhere"


def test_artworks_of_older_versions_are_not_deleted(database: Database[Any]) -> None:
    database["artworks"].insert_many([{"_id": "old"}, {"_id": "new", "deleted_at": "then"}])
    migrate(database)
    kept = {artwork["_id"]: artwork["deleted_at"] for artwork in database["artworks"].find()}
    assert kept == {"old": None, "new": "then"}


def test_an_older_version_leaves_a_newer_ones_indexes_alone(database: Database[Any]) -> None:
    migrate(database)
    database["migrations"].insert_one({"_id": 10_000, "name": "of the future", "finished_at": datetime.now(UTC)})
    database["events"].drop_index("log")
    database["events"].create_index([("owner", 1)], name="log")
    database["events"].drop_index("job")
    migrate(database)
    found = database["events"].index_information()
    assert found["log"]["key"] == [("owner", 1)]
    assert "job" in found, "what is missing, it makes"


def test_an_ordinary_start_changes_nothing(database: Database[Any], servers: Servers) -> None:
    migrate(database)
    commands = Commands()
    with MongoClient[Any](servers.mongodb_uri, event_listeners=[commands]) as client:
        migrate(client.get_database(database.name, codec_options=CODEC))
    assert set(commands.names) - {"endSessions"} == {"listCollections", "distinct", "listIndexes"}
