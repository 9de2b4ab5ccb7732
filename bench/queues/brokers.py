"""A fresh server on loopback for each broker, and a word on how to get what is absent."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from app.stack import servers
from app.stack.ports import free_port
from bench import programs

START_LIMIT_S = 60.0
_DEBIAN_RABBITMQ = "/usr/lib/rabbitmq/bin"
"""The scripts themselves. Those on PATH are wrappers that insist on the user rabbitmq and on the system's folders."""


@dataclass(frozen=True)
class Kind:
    """One way of running Dramatiq."""

    name: str
    label: str
    serve: Callable[[Path], AbstractContextManager[str]]
    """Takes a folder for the server's files; gives the server's address while it runs."""
    program: str = ""
    package: str = ""

    def lacks(self) -> str:
        """How to get what is missing on this machine; empty when nothing is."""
        if self.program and not _program(self.program):
            return f"{self.program} is not installed: python -m bench queues --install, or apt install {self.program}"
        if self.package and not find_spec(self.package):
            return f"the Python package {self.package} is not installed: pip install '.[bench]'"
        return ""


def install() -> None:
    """Install by apt the servers that are missing. Raises CalledProcessError."""
    programs.install({kind.program for kind in KINDS if kind.program and not _program(kind.program)})


@contextmanager
def _mongod(folder: Path) -> Iterator[str]:
    with servers(folder) as running:
        yield running.mongodb_uri


@contextmanager
def _redis(folder: Path, *, append_always: bool) -> Iterator[str]:
    port = free_port()
    log = ["--appendonly", "yes", "--appendfsync", "always"] if append_always else ["--appendonly", "no"]
    command = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with programs.running([*command, "--save", "", *log], folder, {}):
        _until_answers(port, b"PING\r\n", b"+PONG")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _rabbitmq(folder: Path) -> Iterator[str]:
    port, name_port = free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.default = 127.0.0.1:{port}\nlog.file = false\n")
    env = {
        "HOME": str(folder),  # where Erlang keeps its cookie
        "ERL_EPMD_PORT": str(name_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
    }
    # Erlang's name server would otherwise be started as a daemon and stay.
    names = [_program("epmd") or "epmd", "-port", str(name_port), "-address", "127.0.0.1"]
    with programs.running(names, folder, env), programs.running([_program("rabbitmq-server")], folder, env):
        # A server that is not ready for clients yet accepts connections, and says nothing.
        _until_answers(port, b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00")
        yield f"amqp://guest:guest@127.0.0.1:{port}/"


def _program(name: str) -> str:
    folders = [_DEBIAN_RABBITMQ, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]
    return shutil.which(name, path=os.pathsep.join(folders)) or ""


def _until_answers(port: int, question: bytes, answer: bytes) -> None:
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(question)
                if connection.recv(len(answer)) == answer:
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"the server on port {port} did not come up")


KINDS = [
    Kind("ours", "HuaBan (MongoDB)", _mongod),
    Kind("redis", "Redis, no AOF", partial(_redis, append_always=False), "redis-server", "redis"),
    Kind("redis-aof", "Redis, AOF always", partial(_redis, append_always=True), "redis-server", "redis"),
    Kind("rabbitmq", "RabbitMQ, confirms", _rabbitmq, "rabbitmq-server", "pika"),
]
