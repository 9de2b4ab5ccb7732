from __future__ import annotations

from pathlib import Path
from typing import Any

from pymongo import MongoClient

from app.stack import Servers
from tests.app.stores import store_of


def test_mongod_is_a_primary_with_transactions(servers: Servers) -> None:
    with MongoClient[dict[str, Any]](servers.mongodb_uri) as client, client.start_session() as session:
        with session.start_transaction():
            client.stack.notes.insert_one({"_id": "kept"}, session=session)
        assert client.stack.notes.find_one_and_delete({"_id": "kept"})


def test_mongod_logs_no_command_for_being_slow(servers: Servers) -> None:
    with MongoClient[dict[str, Any]](servers.mongodb_uri) as client:
        client.stack.notes.insert_one({"_id": "slow"})
        client.stack.notes.find_one_and_delete({"_id": "slow", "$where": "sleep(200) || 'TheWordsThatNobodyLogs'"})
    assert "TheWordsThatNobodyLogs" not in (servers.folder / "logs" / "mongod.log").read_text()


def test_killed_mongod_keeps_acknowledged_writes(servers: Servers) -> None:
    with MongoClient[dict[str, Any]](servers.mongodb_uri) as client:
        client.stack.notes.insert_one({"_id": "before the kill"})
        servers.mongod.kill()
        assert servers.mongod.pid is None
        servers.mongod.restart()
        assert client.stack.notes.find_one_and_delete({"_id": "before the kill"})


def test_killed_rclone_keeps_objects(servers: Servers, tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.png"
    drawing.write_bytes(b"drawn")
    store = store_of(servers)
    stored = store.upload(drawing, "tests/kept.png", mime="image/png")
    servers.rclone.kill()
    servers.rclone.restart()
    assert store.head("tests/kept.png") == stored
    store.delete("tests/kept.png")


def test_bucket_outlives_its_last_object(servers: Servers, tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.png"
    drawing.write_bytes(b"drawn")
    store = store_of(servers)
    store.upload(drawing, "tests/last.png", mime="image/png")
    store.delete("tests/last.png")
    store.ping()
    assert (servers.folder / "objects" / servers.bucket).is_dir()
