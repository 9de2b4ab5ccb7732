"""mongod and rclone alone, on free ports, for tests and checks: no event loop needed by the caller."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.stack import mongod, rclone
from app.stack.folder import keys
from app.stack.ports import free_port
from app.stack.supervisor import Part, Supervisor

BUCKET = "huaban-media"


class Server:
    """One of the servers, to be killed and started again by tests of faults. It stays dead until `restart`."""

    def __init__(self, supervisor: Supervisor, part: Part, loop: asyncio.AbstractEventLoop) -> None:
        self._supervisor = supervisor
        self._part = part
        self._loop = loop

    @property
    def pid(self) -> int | None:
        """None while it is dead."""
        return self._supervisor.pid(self._part.name)

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        self._wait(self._supervisor.drop(self._part))

    def stop(self) -> None:
        """SIGTERM; returns once it is gone."""
        self._wait(self._supervisor.stop(self._part))

    def restart(self) -> None:
        """Kill it if it runs, start it with the same data and port, and return once it serves."""
        self.kill()
        self._wait(self._supervisor.start(self._part))

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Servers:
    """Addresses and keys of a running mongod and rclone. `bucket` exists."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, *, test_commands: bool) -> None:
        self.folder = folder
        held = keys(folder)
        self.access_key = held.s3_access_key_id
        self.secret_key = held.s3_secret_access_key
        self.bucket = BUCKET
        mongod_port, rclone_port = free_port(), free_port()
        self.mongodb_uri = mongod.uri(mongod_port)
        self.s3_endpoint = f"http://127.0.0.1:{rclone_port}"
        environ = dict(os.environ)
        self._parts = [
            mongod.part(
                mongod.find(environ, links=folder / "lib"),
                folder / "mongod",
                port=mongod_port,
                environ=environ,
                test_commands=test_commands,
            ),
            rclone.part(
                rclone.find(environ),
                folder / "objects",
                port=rclone_port,
                bucket=BUCKET,
                access_key=self.access_key,
                secret_key=self.secret_key,
                environ=environ,
            ),
        ]
        self._supervisor = Supervisor(folder / "logs", say=lambda _part, _line: None)
        self.mongod, self.rclone = (Server(self._supervisor, part, loop) for part in self._parts)

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that point the product at these servers."""
        return {
            "MONGODB_URI": self.mongodb_uri,
            "S3_ENDPOINT": self.s3_endpoint,
            "S3_BUCKET": self.bucket,
            "S3_ACCESS_KEY_ID": self.access_key,
            "S3_SECRET_ACCESS_KEY": self.secret_key,
        }

    async def start(self) -> None:
        await asyncio.gather(*(self._supervisor.start(part) for part in self._parts))

    async def stop(self) -> None:
        await self._supervisor.stop(*self._parts)


@contextmanager
def servers(folder: Path, *, test_commands: bool = False) -> Iterator[Servers]:
    """Start both at once and stop them at the end. `test_commands` opens MongoDB's fail points. Raises StackError."""
    folder.mkdir(parents=True, exist_ok=True)
    with _loop_in_thread() as loop:
        running = Servers(folder, loop, test_commands=test_commands)
        try:
            asyncio.run_coroutine_threadsafe(running.start(), loop).result()
            yield running
        finally:
            asyncio.run_coroutine_threadsafe(running.stop(), loop).result()


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    # Children get SIGTERM when the thread that started them ends, so one thread does it all and lives to the end.
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever, name="servers", daemon=True)
        thread.start()
        try:
            yield loop
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
