"""`docs/database.md`, made of the collections, the docstrings of their records, and their indexes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from studio.indexes import Index
from studio.privacy import NOT_PERSONAL, OWNED
from studio.schema import COLLECTIONS, Collection
from studio.structs import doc_of, field_docs, structs_in

PAGE = Path(__file__).parents[1] / "docs" / "database.md"

_HEAD = """\
# The database

Made by `make docs` from the records in `studio/`, their docstrings and their indexes; a test compares it with them.
本页由 `make docs` 根据代码生成，测试会检查两者一致。

Times are the server's, in UTC. Ids are opaque. A field that may be missing in older documents has a default. The bytes
of pictures, sound and films are not here but in the object store. Changes of what is stored are numbered migrations
(`studio/migrations.py`); indexes are made as they are declared at every start (`studio/indexes.py`).
"""

_QUEUE = """\
## The queue's own

A collection per queue (`queue_...`) and the `queue_dramatiq_...` ones belong to `broker/`, which makes them itself.
Their documents are described at the top of `broker/documents.py`. Arguments of messages are ids, never anybody's words;
a finished message is removed after an hour, a dead letter after a week.
"""

_PLAIN = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "true or false",
    inspect.DateTimeType: "time",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
}


_COMMON = {
    "_id": "What it is known by.",
    "owner": "The client that it belongs to, as a keyed hash.",
    "created_at": "When it was made.",
    "updated_at": "When it was changed last.",
    "artwork_id": "The artwork that it is for.",
    "version": "The number of the film, counted per artwork.",
}
"""What these fields mean wherever their record says nothing else."""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD, *(part for name, collection in COLLECTIONS.items() for part in _collection(name, collection))]
    return "\n".join([*parts, _QUEUE])


def _collection(name: str, collection: Collection) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{doc_of(collection.record)} {_belongs(name)}\n".lstrip()
    yield _fields(collection.record)
    for part in structs_in([collection.record])[1:]:
        yield f"`{part.__name__}`: {doc_of(part)}\n" if doc_of(part) else f"`{part.__name__}`:\n"
        yield _fields(part)
    if collection.indexes:
        yield _indexes(collection.indexes)


def _belongs(name: str) -> str:
    """Whose the documents are, which decides what becomes of them."""
    if name in NOT_PERSONAL:
        return f"**Not personal**: {NOT_PERSONAL[name]}."
    owned = next(owned for owned in OWNED if owned.name == name)
    fate = "exported and erased with its client"
    if owned.unlinked_by:
        links = " and ".join(f"`{field}`" for field in owned.unlinked_by)
        fate = f"exported with its client, whose erasure removes {links} and leaves the rest"
    return f"**Personal** (`{owned.owner_field}`): {fate}. {owned.about.en}."


def without_meaning(collection: Collection) -> list[tuple[str, str]]:
    """The fields that neither their record nor `_COMMON` says anything of."""
    return [
        (struct.__name__, field.name)
        for struct in structs_in([collection.record])
        for field in _fields_of(struct)
        if not _meaning(struct, field)
    ]


def _fields(record: type[msgspec.Struct]) -> str:
    rows = ((f"`{field.encode_name}`", _words(field.type), _meaning(record, field)) for field in _fields_of(record))
    return _table(("field", "type", "meaning"), rows)


def _fields_of(record: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType)  # noqa: S101 (records are structs)
    return info.fields


def _indexes(indexes: Iterable[Index]) -> str:
    rows = []
    for index in indexes:
        facts = index.document
        keys = ", ".join(f"`{key}`{' ↓' if direction == -1 else ''}" for key, direction in facts["key"].items())
        rows.append((facts["name"], keys, ", ".join(_rules(facts)), index.why))
    return _table(("index", "fields", "rules", "why"), rows)


def _rules(facts: dict[str, Any]) -> Iterator[str]:
    if facts.get("unique"):
        yield "unique"
    for field, value in facts.get("partialFilterExpression", {}).items():
        yield f"only where `{field}` is `{msgspec.json.encode(value).decode()}`"
    if "expireAfterSeconds" in facts:
        kept = timedelta(seconds=facts["expireAfterSeconds"])
        yield f"removed {kept.days} days later" if kept.days else "removed then"


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.StructType(cls=cls):
            return f"`{cls.__name__}`"
        case inspect.EnumType() | inspect.LiteralType():
            return ", ".join(f"`{choice}`" for choice in _choices(info))
        case inspect.ListType(item_type=inner):
            return f"list of {_words(inner)}"
        case inspect.DictType(value_type=inner):
            return f"map to {_words(inner)}"
        case inspect.UnionType(types=kinds) | inspect.TupleType(item_types=kinds):
            between = " or " if isinstance(info, inspect.UnionType) else ", "
            return between.join(map(_words, kinds))
        case _:
            return _PLAIN[type(info)]


def _choices(info: inspect.EnumType | inspect.LiteralType) -> list[object]:
    return [member.value for member in info.cls] if isinstance(info, inspect.EnumType) else list(info.values)


def _meaning(record: type[msgspec.Struct], field: inspect.Field) -> str:
    """What is said of a field, and of the states that it can have."""
    said = [field_docs(record).get(field.name) or _COMMON.get(field.encode_name, "")]
    if isinstance(field.type, inspect.EnumType):
        docs = field_docs(field.type.cls)
        said += [f"`{member.value}`: {docs[member.name]}" for member in field.type.cls if member.name in docs]
    return " ".join(filter(None, said))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
