"""The shapes of bodies and answers: described by msgspec, which reads and writes them, in the words of the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from studio.docstrings import field_docs

Json = dict[str, Any]

BINARY: Json = {"type": "string", "format": "binary"}


class Schemas:
    """The schemas of these types, which refer to components by name. None is the type of no content."""

    def __init__(self, kinds: Iterable[Any]) -> None:
        self._kinds = [kind for kind in dict.fromkeys(kinds) if kind not in (None, bytes)]
        self._schemas, self.components = msgspec.json.schema_components(
            self._kinds, ref_template="#/components/schemas/{name}"
        )
        for struct in structs_in(self._kinds):
            _explain(self.components[struct.__name__]["properties"], struct)

    def of(self, kind: Any) -> Json:
        return BINARY if kind is bytes else self._schemas[self._kinds.index(kind)]


def structs_in(kinds: Iterable[Any]) -> set[type[msgspec.Struct]]:
    """The structs that these types are, or are made of."""
    found: set[type[msgspec.Struct]] = set()
    for kind in kinds:
        _collect(msgspec.inspect.type_info(kind), found)
    return found


def _explain(properties: Json, struct: type[msgspec.Struct]) -> None:
    docs = field_docs(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in docs:
            properties[field.encode_name]["description"] = docs[field.name]


def _collect(info: msgspec.inspect.Type, found: set[type[msgspec.Struct]]) -> None:
    if isinstance(info, msgspec.inspect.StructType):
        if info.cls in found:
            return
        found.add(info.cls)
    for part in _parts(info):
        _collect(part, found)


def _parts(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    match info:
        case msgspec.inspect.StructType():
            yield from (field.type for field in info.fields)
        case msgspec.inspect.UnionType():
            yield from info.types
        case msgspec.inspect.ListType():
            yield info.item_type
        case msgspec.inspect.TupleType():
            yield from info.item_types
        case msgspec.inspect.DictType():
            yield info.value_type
        case msgspec.inspect.Metadata():
            yield info.type
