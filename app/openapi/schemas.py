"""The shapes of bodies and answers: described by msgspec, which reads and writes them, in the words of the source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from studio.structs import field_docs, structs_in

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


def _explain(properties: Json, struct: type[msgspec.Struct]) -> None:
    docs = field_docs(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in docs:
            properties[field.encode_name]["description"] = docs[field.name]
