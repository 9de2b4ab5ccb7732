"""What belongs to a client, as one table: an export reads it, an erasure empties it, and a test keeps it complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

from studio.language import Text
from studio.records import Document

Ids = dict[str, list[Any]]
"""Ids of documents, by collection."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A collection in which each document belongs to one client."""

    name: str
    about: Text
    """What its documents are, for the person they belong to."""
    owner_field: str = "owner"
    unlinked_by: tuple[str, ...] = ()
    """Fields that an erasure takes away, and leaves the rest of the document, which is nobody's from then on."""
    hidden: frozenset[str] = frozenset()
    """Fields that mean nothing outside of the program, and are left out of an export at whatever depth."""

    def of(self, owner: str) -> Document:
        """Finds the documents of an owner."""
        return {self.owner_field: owner}


def _owned(name: str, zh: str, en: str, *hidden: str) -> Owned:
    return Owned(name, Text(zh, en), hidden=frozenset({"owner", *hidden}))


def _single(name: str, zh: str, en: str, *hidden: str) -> Owned:
    """A collection with one document a client, whose id is the owner's."""
    return Owned(name, Text(zh, en), owner_field="_id", hidden=frozenset({"_id", *hidden}))


OWNED = (
    _owned("exports", "导出过的数据包", "Exports that were asked for"),
    _owned("uploads", "还没有提交的上传", "Uploads that are not committed yet"),
    _owned(
        "jobs",
        "制作任务及其进度",
        "What was asked to be made, and how far it came",
        # What was handed to a provider is in the artwork, and its answer is for us alone.
        *("live", "request_id", "request", "provider_id", "hinted_id", "digest", "clip", "answer"),
    ),
    _owned(
        "deliveries",
        "向本服务自己的系统报告任务结束的记录，保留 30 天",
        "That the end of a job was told to a system of whoever runs this service, kept for 30 days",
    ),
    _owned("ai_analyses", "画面解读", "Readings of drawings", "made_of"),
    _owned("artworks", "作品：名字、故事、版本", "Artworks: titles, stories, versions"),
    _owned("media_assets", "画、录音和影片的文件信息", "Facts about drawings, recordings and films", "etag", "source"),
    _owned("events", "任务进度的通知记录，保留 30 天", "News about jobs, kept for 30 days", "_id"),
    _single("profiles", "孩子的资料：昵称、年龄、简介、头像", "What was told about the child, and its picture"),
    _single("consents", "同意与撤回的记录", "What was agreed to and withdrawn, and when"),
    _owned("spend_counters", "当天的费用合计", "What this day's calls have come to", "_id"),
    Owned(
        "ledger",
        Text("付费调用的账目", "The books: calls of AI services that are paid for"),
        # Money was spent, and its books have to add up without whoever it was spent for.
        unlinked_by=("owner", "job_id"),
        hidden=frozenset({"owner"}),
    ),
    _single("event_counters", "通知的编号", "The number of the newest piece of news"),
    _single("clients", "第一次和最近一次使用的时间", "When this client was first and last here"),
)
# Why the others are not a client's. What names of his work the queues hold is found by the ids of his documents.
NOT_PERSONAL = {
    "erasures": "receipts: counts and times, and an owner only until he is erased",
    "request_counters": "how often somebody called, under a digest that changes daily and leads back to nobody",
    "callbacks": "digests of what services, or people, tell of calls, for eight days, so that nothing counts twice",
    "migrations": "changes of the database",
    "step_times": "how long steps take, by provider",
    "walks": "how far housekeeping is",
    "statistics": "how many jobs ended how, by day",
    "gates": "how fast a provider may be asked, and whether it is there",
    "gate_places": "who waits to ask a provider, by the id of a message, for two hours at most",
    "slots": "how much a provider has in the making, by the ids of jobs while they run",
    "slot_waiters": "who waits for a slot, by the id of a job, for an hour at most",
}


def list_ids(database: Database[Document], owner: str, *, limit: int) -> Ids:
    """At most `limit` ids of each collection in which the owner has something left."""
    found = {owned.name: _ids(database, owned, owner, limit=limit) for owned in OWNED}
    return {name: ids for name, ids in found.items() if ids}


def _ids(database: Database[Document], owned: Owned, owner: str, *, limit: int) -> list[Any]:
    return [document["_id"] for document in database[owned.name].find(owned.of(owner), {"_id": 1}, limit=limit)]


def delete(database: Database[Document], owner: str, ids: Ids, *, session: ClientSession) -> dict[str, int]:
    """Remove documents of an owner, or what leads from them to him; how many of each collection there still were."""
    removed = {}
    for owned in OWNED:
        if owned.name in ids:
            query = {"_id": {"$in": ids[owned.name]}, **owned.of(owner)}
            collection = database[owned.name]
            if owned.unlinked_by:
                unlink = {"$unset": dict.fromkeys(owned.unlinked_by, "")}
                removed[owned.name] = collection.update_many(query, unlink, session=session).modified_count
            else:
                removed[owned.name] = collection.delete_many(query, session=session).deleted_count
    return removed
