"""Reaching the database of a deployment from a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click
from dramatiq.errors import ConnectionError as BrokerConnectionError
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from app.cli.lines import complaints, words
from app.cli.reading import DATA_OF_A_RUN, Command, data_folder, read_settings
from app.stack import StackError, mongod, outside
from app.stack.errors import Unreachable
from studio.settings import Settings

ANSWER_WITHIN_MS = 5_000


def reaching(function: Command) -> Command:
    """The options of a command that looks into a database: `data`, where that is, and `as_json`."""
    function = click.option(
        "--json", "as_json", is_flag=True, help=words("输出 JSON，供脚本使用。", "Print JSON, for scripts.")
    )(function)
    return data_folder(DATA_OF_A_RUN)(function)


@contextmanager
def reached(data: Path) -> Iterator[tuple[Database[Any], Settings]]:
    """The database of the deployment, and its settings; what goes wrong ends the command."""
    with complaints():
        settings = read_settings()
        uri = answering_uri(data, settings.mongodb_uri)
        try:
            with MongoClient[Any](uri, serverSelectionTimeoutMS=ANSWER_WITHIN_MS) as client:
                yield client[settings.mongodb_db], settings
        except (PyMongoError, BrokerConnectionError) as error:
            raise StackError(
                words(
                    f"MongoDB 中途出错：{type(error).__name__}。", f"MongoDB failed meanwhile: {type(error).__name__}."
                ),
                words("请再运行一次；huaban doctor 可以检查。", "Run it again; `huaban doctor` says what is wrong."),
            ) from error


def answering_uri(data: Path, configured: str) -> str:
    """The database in MONGODB_URI, else that of the embedded stack if it runs, else where one is by default.

    Raises Unreachable.
    """
    running = None if os.environ.get("MONGODB_URI") else mongod.running_uri(data / "mongod")
    try:
        asyncio.run(outside.require_mongodb(running or configured))
    except Unreachable as error:
        if os.environ.get("MONGODB_URI"):
            raise
        raise Unreachable(
            error.what,
            words(
                f"在 {data} 没有正在运行的画伴：请启动它（huaban run），用 --data 指定目录，或设置 MONGODB_URI。",
                f"No HuaBan runs on {data}: start it (huaban run), name its folder with --data, or set MONGODB_URI.",
            ),
        ) from error
    return running or configured
