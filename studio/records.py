"""Frozen records to and from MongoDB: the one pair of functions, and the server's clock for what is new."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec
from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

Document = dict[str, Any]
Documents = Collection[Document]
R = TypeVar("R", bound="Identified")

CODEC: CodecOptions[Document] = CodecOptions(tz_aware=True, tzinfo=UTC)


class Identified(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "_id"}):
    """A document, or a part of one, that can be told from others."""

    id: str


class Record(Identified, frozen=True, kw_only=True):
    """A document that people or jobs refer to. Times are the server's, in UTC."""

    created_at: datetime
    updated_at: datetime


def new_id() -> str:
    """An opaque id of 22 URL-safe characters, which cannot be guessed."""
    return secrets.token_urlsafe(16)


def is_new_id(text: str) -> bool:
    """Whether `new_id` could have made it."""
    return re.fullmatch(r"[A-Za-z0-9_-]{22}", text) is not None


def owner_of(client_id: str, key: str) -> str:
    """The owner id of a client: a keyed hash, so that no key in the bucket and no log gives the client id away."""
    digest = hmac.digest(key.encode(), client_id.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:18]).decode()


@cache
def fields_of(kind: type[Identified]) -> Document:
    """What to ask the server for when no more of a document is wanted than this."""
    return {field.encode_name: 1 for field in msgspec.structs.fields(kind)}


def from_document(document: Document, kind: type[R]) -> R:
    return msgspec.convert(document, kind)


def insert(collection: Documents, fields: Document, *, session: ClientSession | None = None) -> Document:
    """Store a new document with the server's times. Raises DuplicateKeyError when its id, or a unique key, is taken.

    An upsert, because an insert has no access to the server's clock; `$literal` keeps "$" in people's words from
    being read as an expression.
    """
    times = {"created_at": "$$NOW", "updated_at": "$$NOW"}
    return upsert(
        collection,
        {"_id": fields["_id"], "created_at": {"$exists": False}},
        [{"$replaceWith": {"$mergeObjects": [{"$literal": fields}, times]}}],
        session=session,
    )


def upsert(
    collection: Documents, query: Document, pipeline: list[Document], *, session: ClientSession | None = None
) -> Document:
    """Change the document, or make it, and return it as it is afterwards."""
    stored = collection.find_one_and_update(
        query, pipeline, upsert=True, return_document=ReturnDocument.AFTER, session=session
    )
    assert stored is not None  # noqa: S101 (an upsert that returns the document after it returns one)
    return stored


def server_time(client: MongoClient[Document]) -> datetime:
    """The database's clock, aware UTC."""
    now: datetime = client.admin.command("hello")["localTime"]
    return now.replace(tzinfo=UTC)


def change(fields: Document, **operators: Document) -> Document:
    """An update that sets fields and the time of the change."""
    return {"$set": fields, "$currentDate": {"updated_at": True}, **operators}
