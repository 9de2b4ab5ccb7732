from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pymongo import MongoClient

from app.stack import AlreadyRunning, Stack, Unreachable, running
from app.stack.folder import held, keys
from app.stack.mongod import WANTED_PORT
from app.stack.ports import free_port
from app.stack.processes import session_members

OWN_SERVERS = {"MONGODB_URI", "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"}
MakeStack = Callable[..., Stack]
Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def make_stack(tmp_path: Path, lines: Lines, alone: None) -> MakeStack:
    def make(**options: Any) -> Stack:
        outside = {name: value for name, value in os.environ.items() if name not in OWN_SERVERS}
        settings: dict[str, Any] = {
            "port": free_port(),
            "web_app": "tests.app.stack.dummy_web:app",
            "actors": "tests.app.stack.dummy_actors",
            "threads": 2,
            "say": lambda part, line: lines.append((part, line)),
            **options,
        }
        settings["env"] = outside | settings.get("env", {})
        return Stack(**({"data": tmp_path / "data"} | settings))

    return make


@pytest.fixture
def servers_only(make_stack: MakeStack) -> MakeStack:
    return lambda **options: make_stack(web=False, worker=False, **options)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with ExitStack() as stack:
        yield stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]


def test_whole_stack_serves_and_leaves_nothing_behind(make_stack: MakeStack, lines: Lines) -> None:
    async def scenario() -> list[int]:
        async with make_stack() as stack:
            pids = [stack.supervisor.pid(name) for name in ("mongod", "rclone", "web", "worker")]
            async with httpx.AsyncClient(trust_env=False) as browser:
                assert (await browser.get(stack.url)).text == "drawn"
            others = running.environment(stack.data)
            assert others == {name: stack.env[name] for name in others}
            assert {"MONGODB_URI", "S3_ENDPOINT", "S3_BUCKET", "OWNER_KEY"} <= set(others)
        assert running.environment(stack.data) == {}
        return [pid for pid in pids if pid]

    pids = asyncio.run(scenario())
    assert len(pids) == 4
    assert not any(session_members(pid) for pid in pids)
    up = [part for part, line in lines if line.endswith(" s)")]
    assert set(up[:2]) == {"mongod", "rclone"}
    assert set(up[2:]) == {"web", "worker"}


def test_worker_can_reach_mongodb_until_it_has_stopped(make_stack: MakeStack, servers_only: MakeStack) -> None:
    async def run_once() -> None:
        async with make_stack(web=False):
            pass

    async def stops_noted() -> int:
        async with servers_only() as stack:
            return await asyncio.to_thread(count, stack.env["MONGODB_URI"])

    def count(uri: str) -> int:
        with MongoClient[dict[str, Any]](uri) as client:
            return client.notes.stops.count_documents({})

    asyncio.run(run_once())
    assert asyncio.run(stops_noted()) == 1


def test_data_survives_a_restart_on_another_port(servers_only: MakeStack, tmp_path: Path, lines: Lines) -> None:
    async def written_and_counted() -> tuple[int | None, int]:
        async with servers_only() as stack:
            return await asyncio.to_thread(write_and_count, stack.env["MONGODB_URI"])

    async def beside_another_stack() -> tuple[int | None, int]:
        async with servers_only(data=tmp_path / "other"):
            return await written_and_counted()

    def write_and_count(uri: str) -> tuple[int | None, int]:
        with MongoClient[dict[str, Any]](uri) as client:
            client.notes.words.insert_one({"word": "画"})
            return urlsplit(uri).port, client.notes.words.count_documents({})

    first_port, _ = asyncio.run(written_and_counted())
    second_port, notes = asyncio.run(beside_another_stack())
    assert second_port != first_port
    assert notes == 2
    assert ("mongod", f"port {WANTED_PORT} is taken, so it uses {second_port}") in lines


def test_taken_web_port_gives_another_one_and_says_so(make_stack: MakeStack, lines: Lines, taken_port: int) -> None:
    async def scenario() -> Stack:
        async with make_stack(worker=False, port=taken_port) as stack:
            async with httpx.AsyncClient(trust_env=False) as browser:
                assert (await browser.get(stack.url)).text == "drawn"
            return stack

    stack = asyncio.run(scenario())
    assert stack.port != taken_port
    assert ("web", f"port {taken_port} is taken, so it uses {stack.port}") in lines
    assert stack.env["S3_PUBLIC_ENDPOINT"] == stack.url == f"http://localhost:{stack.port}"


def test_public_address_of_the_store_that_was_given_is_kept(servers_only: MakeStack) -> None:
    async def scenario() -> str:
        async with servers_only(env={"S3_PUBLIC_ENDPOINT": "http://studio.example:8080"}) as stack:
            return stack.env["S3_PUBLIC_ENDPOINT"]

    assert asyncio.run(scenario()) == "http://studio.example:8080"


def test_second_stack_on_the_same_folder_is_refused(servers_only: MakeStack) -> None:
    async def scenario() -> None:
        async with servers_only():
            with pytest.raises(AlreadyRunning, match=rf"already running .* \(process {os.getpid()}\)"):
                await servers_only().start()

    asyncio.run(scenario())


def test_keys_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with held(data):
        assert keys(data) == keys(data)
    assert stat.S_IMODE((data / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_uploads_cut_off_by_a_kill_are_swept_at_start(servers_only: MakeStack, tmp_path: Path) -> None:
    stale = tmp_path / "data" / "objects" / "huaban-media" / "clients" / ".rclone_temp_put_1"
    stale.parent.mkdir(parents=True)
    stale.touch()

    async def scenario() -> None:
        async with servers_only():
            assert not stale.exists()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("MONGODB_URI", "mongodb://someone:secret@127.0.0.1:{port}/?replicaSet=rs0"),
        ("S3_ENDPOINT", "http://127.0.0.1:{port}"),
    ],
)
def test_server_of_ones_own_that_does_not_answer_stops_everything(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setattr("app.stack.outside.LIMIT_S", 0.2)
    stack = make_stack(env={name: address.format(port=free_port())})
    with pytest.raises(Unreachable) as caught:
        asyncio.run(stack.start())
    assert name in caught.value.mend
    assert "secret" not in str(caught.value)
    assert not any(stack.supervisor.pid(part) for part in ("mongod", "rclone", "web", "worker"))


def test_servers_of_ones_own_are_used_as_they_are(servers: Any, servers_only: MakeStack, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with servers_only(env=servers.env) as stack:
            assert stack.env["MONGODB_URI"] == servers.mongodb_uri
            assert stack.env["S3_SECRET_ACCESS_KEY"] == servers.secret_key
            assert stack.supervisor.pid("mongod") is stack.supervisor.pid("rclone") is None

    asyncio.run(scenario())
    assert not (tmp_path / "data" / "mongod").exists()
