"""Indexes, declared with what they are for, and made so without a moment in which a unique rule does not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from studio.records import Documents

Facts = Mapping[str, Any]
_INDEX_NOT_FOUND = 27


class Index(IndexModel):
    """An index that says what it is for."""

    def __init__(self, keys: Sequence[tuple[str, int]], *, name: str, why: str, **options: Any) -> None:
        super().__init__(keys, name=name, **options)
        self.why = why


def reconcile(collection: Documents, declared: Sequence[IndexModel], *, replace: bool = True) -> None:
    """Create what is missing, and put what is declared in the place of what differs; any number may do so at once.

    The server renames no index, and the new one has to be there before the old one goes. So an index whose definition
    changed is called by its declared name, "~" and a digest from then on. Names that are not declared are left alone:
    somebody made them by hand, or a migration has to drop them. Collations and text indexes are not told apart.

    With `replace=False` an index is left as it is when there is one of its name.
    """
    stored = list(collection.list_indexes())
    names = {index["name"] for index in stored}
    missing: list[IndexModel] = []
    outdated: list[str] = []
    for wanted in (model.document for model in declared):
        namesakes = [index for index in stored if index["name"].partition("~")[0] == wanted["name"]]
        if namesakes and not replace:
            continue
        twin = next((index for index in namesakes if _definition(index) == _definition(wanted)), None)
        if twin is None:
            missing.append(_named(wanted, wanted["name"] if wanted["name"] not in names else _other_name(wanted)))
        elif twin.get("expireAfterSeconds") != wanted.get("expireAfterSeconds"):
            _change_expiry(collection, twin["name"], wanted)
        outdated += [index["name"] for index in namesakes if index is not twin]
    if missing:
        collection.create_indexes(missing)
    for name in outdated:
        _drop(collection, name)


def _definition(index: Facts) -> tuple[Any, ...]:
    """What tells two indexes apart for the server; of those that agree in it, it keeps only one."""
    rules = (bool(index.get("unique")), bool(index.get("sparse")), index.get("partialFilterExpression"))
    return (list(index["key"].items()), *rules)


def _other_name(index: Facts) -> str:
    digest = hashlib.sha256(msgspec.json.encode(_definition(index))).hexdigest()
    return f"{index['name']}~{digest[:8]}"


def _named(index: Facts, name: str) -> IndexModel:
    options = {option: value for option, value in index.items() if option != "key"}
    return IndexModel(list(index["key"].items()), **{**options, "name": name})


def _change_expiry(collection: Documents, name: str, wanted: Facts) -> None:
    expiry = wanted.get("expireAfterSeconds")
    if expiry is not None:
        changed = {"name": name, "expireAfterSeconds": expiry}
        collection.database.command("collMod", collection.name, index=changed)
        return
    # The server can add an expiry and change it, but not take it away.
    _drop(collection, name)
    collection.create_indexes([_named(wanted, name)])


def _drop(collection: Documents, name: str) -> None:
    """Drop an index; one that is gone was dropped by another process meanwhile."""
    try:
        collection.drop_index(name)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise
