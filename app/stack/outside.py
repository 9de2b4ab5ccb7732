"""Servers that the environment names. They are used as they are, or the stack does not start."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from app.stack.errors import Unreachable

LIMIT_S = 3.0


async def require_mongodb(uri: str) -> None:
    """Return when MongoDB answers and has transactions. Raises Unreachable within a few seconds."""
    hello = await asyncio.to_thread(_hello, uri)
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise Unreachable(
            f"MongoDB at {_place(uri)} is not a replica set, so it has no transactions.",
            "Start mongod with --replSet rs0 and run rs.initiate(), or remove MONGODB_URI.",
        )


def _hello(uri: str) -> dict[str, Any]:
    limit_ms = int(LIMIT_S * 1000)
    try:
        with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=limit_ms, connectTimeoutMS=limit_ms) as client:
            return client.admin.command("hello")
    except PyMongoError as error:
        # The driver's words go on with the state of every server; the first of them say what is wrong.
        reason = str(error).split(",")[0].split(" (configured")[0]
        raise Unreachable(
            f"MongoDB at {_place(uri)} does not answer: {reason}",
            "Correct MONGODB_URI, or remove it to use the embedded MongoDB.",
        ) from error


async def require_s3(endpoint: str) -> None:
    """Return when something at the endpoint speaks HTTP. Raises Unreachable within a few seconds."""
    try:
        async with httpx.AsyncClient(timeout=LIMIT_S) as client:
            await client.head(endpoint)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"The object store at {_place(endpoint)} does not answer: {error or type(error).__name__}",
            "Correct S3_ENDPOINT, or remove it to use the embedded store.",
        ) from error


def _place(address: str) -> str:
    """Host and port of an address, without the password it may carry."""
    return urlsplit(address).netloc.rpartition("@")[2] or "an address without a host"
