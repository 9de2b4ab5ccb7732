from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import IndexModel, MongoClient
from pymongo.collection import Collection

from app.stack import Servers
from studio.indexes import reconcile
from tests.studio.commands import Commands

LOG = [("owner", 1), ("seq", 1)]
CHANGES = ("createIndexes", "dropIndexes", "collMod")


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def collection(servers: Servers, commands: Commands) -> Iterator[Collection[Any]]:
    name = f"indexes_{secrets.token_hex(4)}"
    with MongoClient[Any](servers.mongodb_uri, event_listeners=[commands], maxPoolSize=20) as client:
        collection = client[name]["things"]
        collection.insert_one({"owner": "a", "seq": 1})
        yield collection
        client.drop_database(name)


def indexes(collection: Collection[Any]) -> dict[str, dict[str, Any]]:
    """What there is beside `_id_`, without what does not matter."""
    found = {name: {**facts} for name, facts in collection.index_information().items() if name != "_id_"}
    for facts in found.values():
        facts.pop("v")
        facts["key"] = dict(facts["key"])
    return found


def only(collection: Collection[Any]) -> tuple[str, dict[str, Any]]:
    (found,) = indexes(collection).items()
    return found


def test_what_is_there_is_left_alone(collection: Collection[Any], commands: Commands) -> None:
    declared = [
        IndexModel(LOG, name="log", unique=True),
        IndexModel([("at", 1)], name="expiry", expireAfterSeconds=60, partialFilterExpression={"live": True}),
        IndexModel([("key", -1)], name="key", sparse=True),
    ]
    reconcile(collection, declared)
    reconcile(collection, declared)
    assert commands.among(*CHANGES) == ["createIndexes"]
    assert indexes(collection).keys() == {"log", "expiry", "key"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IndexModel(LOG, name="log", unique=True), IndexModel([*LOG, ("kind", 1)], name="log", unique=True)),
        (IndexModel(LOG, name="log"), IndexModel(LOG, name="log", unique=True)),
        (IndexModel(LOG, name="log", unique=True), IndexModel(LOG, name="log")),
        (IndexModel(LOG, name="log"), IndexModel(LOG[::-1], name="log")),
        (IndexModel(LOG, name="log"), IndexModel([("owner", 1), ("seq", -1)], name="log")),
        (IndexModel(LOG, name="log"), IndexModel(LOG, name="log", sparse=True)),
        (
            IndexModel(LOG, name="log", unique=True, partialFilterExpression={"live": True}),
            IndexModel(LOG, name="log", unique=True, partialFilterExpression={"live": False}),
        ),
    ],
    ids=["fields", "unique", "not-unique", "order", "direction", "sparse", "partial"],
)
def test_a_changed_index_is_there_before_the_old_one_goes(
    collection: Collection[Any], commands: Commands, before: IndexModel, after: IndexModel
) -> None:
    reconcile(collection, [before])
    reconcile(collection, [after])
    name, found = only(collection)
    assert commands.among(*CHANGES) == ["createIndexes", "createIndexes", "dropIndexes"]
    assert found == {key: value for key, value in after.document.items() if key != "name"}
    assert name.startswith("log~")
    reconcile(collection, [before])
    assert only(collection)[0] == "log", "the declared name is free again"


@pytest.mark.parametrize(("before", "after"), [(None, 60), (60, 30), (60, None)])
def test_an_expiry_is_changed_in_place(collection: Collection[Any], before: int | None, after: int | None) -> None:
    def declared(seconds: int | None) -> list[IndexModel]:
        options = {} if seconds is None else {"expireAfterSeconds": seconds}
        return [IndexModel([("at", 1)], name="expiry", **options)]

    reconcile(collection, declared(before))
    reconcile(collection, declared(after))
    name, found = only(collection)
    assert (name, found.get("expireAfterSeconds")) == ("expiry", after)


def test_a_replacement_that_broke_off_is_finished(collection: Collection[Any]) -> None:
    reconcile(collection, [IndexModel(LOG, name="log")])
    reconcile(collection, [IndexModel(LOG, name="log", unique=True)])
    collection.create_index([("owner", 1)], name="log")
    reconcile(collection, [IndexModel(LOG, name="log", unique=True)])
    assert only(collection)[1]["unique"] is True


def test_ten_that_replace_an_index_at_once_leave_one(collection: Collection[Any]) -> None:
    reconcile(collection, [IndexModel(LOG, name="log")])
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: reconcile(collection, [IndexModel(LOG, name="log", unique=True)]), range(10)))
    assert only(collection)[1]["unique"] is True


def test_an_index_that_somebody_made_by_hand_stays(collection: Collection[Any]) -> None:
    collection.create_index([("seq", 1)], name="by_hand")
    reconcile(collection, [IndexModel(LOG, name="log")])
    assert indexes(collection).keys() == {"by_hand", "log"}
