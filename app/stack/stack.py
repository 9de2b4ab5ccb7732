"""The whole product as one thing: MongoDB, object store, web and worker."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.stack import folder, mongod, outside, rclone, running
from app.stack.conditions import accepting, until
from app.stack.ports import port_near
from app.stack.processes import catches_sigterm, is_alone
from app.stack.supervisor import Part, Say, Supervisor

GRACE_S = 600.0


class Stack:
    """Started in order, kept running, stopped in order: `async with Stack(data) as stack: ...`.

    `env` stands for the process environment (that is the default). MONGODB_URI and S3_ENDPOINT in it take the place of
    the embedded servers; when one does not answer, `start` raises Unreachable and nothing is left running.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int = 8080,
        host: str = "127.0.0.1",
        web: bool = True,
        worker: bool = True,
        env: Mapping[str, str] | None = None,
        processes: int = 1,
        threads: int = 8,
        grace_s: float = GRACE_S,
        web_app: str = "app.main:app",
        actors: str = "actors",
        say: Say = lambda _part, _line: None,
    ) -> None:
        self.data = data.absolute()
        self.host = host
        self.port = port
        """Where the web page is; another than the wanted one when that was taken. Known once started."""
        self.env = dict(os.environ if env is None else env)
        """What web and worker see. Complete once started."""
        self._web, self._worker = web, worker
        self._processes, self._threads = processes, threads
        self._grace_s = grace_s
        self._web_app, self._actors = web_app, actors
        self._say = say
        self._held = ExitStack()
        self._servers: list[Part] = []
        self._workers: list[Part] = []
        self.supervisor = Supervisor(self.data / "logs", say=say)

    @property
    def url(self) -> str:
        """Where to open the product. Browsers give camera and microphone to localhost, not to an IP address."""
        return f"http://localhost:{self.port}"

    async def start(self) -> None:
        """Return once everything serves. Raises StackError; nothing is then left running."""
        try:
            self._held.enter_context(folder.held(self.data))
            if self._web:
                self.port = self._free_port("web", self.port, self.host)
            self._name_keys()
            # Before anything is started: a wrong address is told at once, and nothing has to be stopped again.
            await self._require_outside_servers()
            await _together(self._start_mongodb(), self._start_store())
            await _together(*(self._start(part, self._workers) for part in self._process_parts()))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop web and worker, waiting for running steps; then the servers they used."""
        try:
            await self.supervisor.stop(*self._workers)
            await self.supervisor.stop(*self._servers)
        finally:
            self._workers.clear()
            self._servers.clear()
            self._held.close()

    def hurry(self) -> None:
        """Cut running steps short: `stop` then waits no longer for them. Their messages are given back."""
        self.supervisor.kill(*self._workers)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _name_keys(self) -> None:
        keys = folder.keys(self.data)
        if not self.env.get("OWNER_KEY"):
            self.env["OWNER_KEY"] = keys.owner_key
        if not self.env.get("S3_ENDPOINT"):
            self.env["S3_ACCESS_KEY_ID"] = keys.s3_access_key_id
            self.env["S3_SECRET_ACCESS_KEY"] = keys.s3_secret_access_key
        self.env["HOST"], self.env["PORT"] = self.host, str(self.port)

    async def _require_outside_servers(self) -> None:
        if self.env.get("MONGODB_URI"):
            await outside.require_mongodb(self.env["MONGODB_URI"])
            self._say("mongodb", "the one in MONGODB_URI")
        if self.env.get("S3_ENDPOINT"):
            await outside.require_s3(self.env["S3_ENDPOINT"])
            self._say("s3", "the one in S3_ENDPOINT")

    async def _start_mongodb(self) -> None:
        if self.env.get("MONGODB_URI"):
            return
        data = self.data / "mongod"
        program = await asyncio.to_thread(mongod.find, self.env, links=self.data / "lib")
        # A supervisor killed a moment ago leaves a mongod that is still writing its last pages.
        await mongod.until_unused(data)
        port = self._free_port("mongod", mongod.WANTED_PORT)
        await self._start(mongod.part(program, data, port=port, environ=self.env), self._servers)
        mongod.note_port(data, port)
        self.env["MONGODB_URI"] = mongod.uri(port)

    async def _start_store(self) -> None:
        if self.env.get("S3_ENDPOINT"):
            return
        data = self.data / "objects"
        self.env["S3_BUCKET"] = self.env.get("S3_BUCKET") or "huaban-media"
        rclone.sweep(data)
        port = self._free_port("rclone", rclone.WANTED_PORT)
        part = rclone.part(
            rclone.find(self.env),
            data,
            port=port,
            bucket=self.env["S3_BUCKET"],
            access_key=self.env["S3_ACCESS_KEY_ID"],
            secret_key=self.env["S3_SECRET_ACCESS_KEY"],
            environ=self.env,
        )
        await self._start(part, self._servers)
        self.env["S3_ENDPOINT"] = part.address
        running.note_store(self.data, endpoint=part.address, bucket=self.env["S3_BUCKET"])
        # The person's own wins: only they know by which name other machines reach this one.
        if not self.env.get("S3_PUBLIC_ENDPOINT"):
            self.env["S3_PUBLIC_ENDPOINT"] = self.url if self._web else part.address
        self.env["S3_FRONT"] = "1" if self._web else "0"

    def _process_parts(self) -> list[Part]:
        parts = []
        if self._web:
            parts.append(self._web_part())
        if self._worker:
            parts.append(self._worker_part())
        return parts

    def _web_part(self) -> Part:
        command = [
            sys.executable, "-m", "app.cli", "api", "--web-app", self._web_app,
            "--host", self.host, "--port", str(self.port),
        ]  # fmt: skip

        async def ready(_pid: int) -> None:
            await accepting(self.port, _reachable(self.host))

        return Part(name="web", command=command, env=self.env, address=self.url, ready=ready)

    def _worker_part(self) -> Part:
        command = [
            sys.executable, "-m", "dramatiq", self._actors, "--processes", str(self._processes),
            "--threads", str(self._threads), "--skip-logging",
            "--worker-shutdown-timeout", str(int(self._grace_s * 1000)),
        ]  # fmt: skip

        async def ready(pid: int) -> None:
            async def is_up() -> bool:
                # Dramatiq has no port to ask. Its main process takes over SIGTERM once its workers have booted.
                return catches_sigterm(pid)

            await until(is_up)

        return Part(
            name="worker",
            command=command,
            env=self.env,
            address=f"{self._processes} process(es), {self._threads} threads each",
            ready=ready,
            grace_s=self._grace_s + 10,
            # Once its workers are gone, Dramatiq's main process only sits out one more second.
            has_finished=is_alone,
        )

    async def _start(self, part: Part, started: list[Part]) -> None:
        started.append(part)
        await self.supervisor.start(part)

    def _free_port(self, name: str, wanted: int, host: str = "127.0.0.1") -> int:
        port = port_near(wanted, host)
        if port != wanted:
            self._say(name, f"port {wanted} is taken, so it uses {port}")
        return port


async def _together(*starts: Coroutine[Any, Any, None]) -> None:
    """Run them at once; the first failure cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _reachable(host: str) -> str:
    """An address at which a server bound to `host` can be reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
