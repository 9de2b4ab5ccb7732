"""How other programs of the machine reach the servers of a stack that runs on a data folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.stack import folder, mongod

_STORE_FILE = "store.json"


def note_store(data: Path, *, endpoint: str, bucket: str) -> None:
    """Leave word of the embedded object store. mongod leaves its own."""
    (data / _STORE_FILE).write_bytes(msgspec.json.encode({"S3_ENDPOINT": endpoint, "S3_BUCKET": bucket}))


def environment(data: Path) -> dict[str, str]:
    """The environment of whoever uses the servers that run on this folder; empty when none do."""
    uri, store = mongod.running_uri(data / "mongod"), data / _STORE_FILE
    if uri is None or not store.exists():
        return {}
    keys = folder.keys(data)
    return {
        "MONGODB_URI": uri,
        "S3_ACCESS_KEY_ID": keys.s3_access_key_id,
        "S3_SECRET_ACCESS_KEY": keys.s3_secret_access_key,
        "OWNER_KEY": keys.owner_key,
        **msgspec.json.decode(store.read_bytes(), type=dict[str, str]),
    }
