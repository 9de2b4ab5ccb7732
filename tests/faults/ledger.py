"""What became of every delivery, as the replica set's oplog has it: the truth that survived all failovers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import MongoClient

Entry = dict[str, Any]


@dataclass
class Claim:
    """One delivery: its token, and the state in which it left the message; None while it is held."""

    token: str
    fate: str | None = None


Ledger = dict[str, list[Claim]]


def read(client: MongoClient[Any], namespace: str) -> Ledger:
    """The claims of a queue's collection, by message."""
    oplog = client["local"].get_collection(
        "oplog.rs", codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
    )
    entries = oplog.find({"$or": [{"ns": namespace}, {"o.applyOps.ns": namespace}]}).sort("$natural", 1)
    return ledger(_flat(entries, namespace))


def ledger(entries: Iterable[Entry]) -> Ledger:
    """The claims in these oplog entries, inserts and updates of messages."""
    claims: Ledger = defaultdict(list)
    for entry in entries:
        if entry["op"] != "u":
            continue
        of_message = claims[str(entry["o2"]["_id"])]
        changes = _changes(entry["o"])
        if "lease" in changes:
            of_message.append(Claim(str(changes["lease"]["token"])))
        elif "state" in changes and of_message and of_message[-1].fate is None:
            of_message[-1].fate = changes["state"]
    return dict(claims)


def _flat(entries: Iterable[Entry], namespace: str) -> Iterator[Entry]:
    """Each write on its own; those of a transaction are one entry in the oplog."""
    for entry in entries:
        if entry["op"] == "c":
            yield from (write for write in entry["o"].get("applyOps", []) if write["ns"] == namespace)
        else:
            yield entry


def _changes(update: Entry) -> Entry:
    """The fields that an update has set."""
    difference = update.get("diff", {})
    return {**difference.get("i", {}), **difference.get("u", {})}
