"""The API as its own description has it: what can be called, where ids are to be named, and how a body may look."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.client import Json

_NAMES_A_THING = re.compile(r"(?:\w*_)?(?:id|key)s?|\w*(?:Id|Key)s?")
# What the types alone do not tell.
_SAMPLES = {"type": "image", "mime": "image/png"}


@dataclass(frozen=True)
class Slot:
    """A place in a call for the id or the key of a thing."""

    where: str
    """path, query or body."""
    name: str


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    slots: tuple[Slot, ...]
    media_type: str
    """Of the body; empty without one."""
    body: Json
    """The least that is accepted, without the ids that may be left out."""
    fields: tuple[str, ...] = ()
    """All that a body may hold."""
    query: tuple[str, ...] = ()
    """The names of the query parameters."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(description: Json) -> Iterator[Operation]:
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            media_type, schema = _body_of(told, description)
            parameters = [Slot(each["in"], each["name"]) for each in told.get("parameters", [])]
            places = [*parameters, *(Slot("body", name) for name in schema.get("properties", {}))]
            # Whatever stands in a path names something.
            slots = (slot for slot in places if slot.where == "path" or _NAMES_A_THING.fullmatch(slot.name))
            yield Operation(
                method.upper(),
                path,
                tuple(slots),
                media_type,
                _sample(schema, description),
                fields=tuple(schema.get("properties", {})),
                query=tuple(slot.name for slot in parameters if slot.where == "query"),
            )


def call_of(operation: Operation, named: Mapping[Slot, str]) -> dict[str, Any]:
    """The arguments for httpx that call an operation with these things named."""
    path, query, body = operation.path, {}, dict(operation.body)
    for slot, value in named.items():
        if slot.where == "path":
            path = path.replace(f"{{{slot.name}}}", value)
        elif slot.where == "query":
            query[slot.name] = value
        elif slot.where == "body":
            body[slot.name] = [value] if slot.name.endswith("s") else value
    assert "{" not in path, f"{operation} was called with too little"
    sent: dict[str, Any] = {"json": body} if operation.media_type else {}
    if operation.media_type == "multipart/form-data":
        files = {name: body.pop(name) for name, value in list(body.items()) if isinstance(value, bytes)}
        sent = {"data": body, "files": files}
    return {"method": operation.method, "url": path, "params": query, **sent}


def _body_of(told: Json, description: Json) -> tuple[str, Json]:
    for media_type, content in told.get("requestBody", {}).get("content", {}).items():
        return media_type, _resolved(content["schema"], description)
    return "", {}


def _resolved(schema: Json, description: Json) -> Json:
    """What a schema refers to; of several forms, the first one that is something."""
    if "$ref" in schema:
        found: Any = description
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _resolved(found, description)
    several = schema.get("oneOf") or schema.get("anyOf") or []
    forms = [form for form in several if form.get("type") != "null"]
    return {**schema, **_resolved(forms[0], description)} if forms else schema


def _sample(schema: Json, description: Json) -> Json:
    """The least that an object of this schema holds."""
    properties = schema.get("properties", {})
    return {name: _value(name, properties[name], description) for name in schema.get("required", [])}


def _value(name: str, schema: Json, description: Json) -> Any:
    resolved = _resolved(schema, description)
    if "enum" in resolved:
        wanted = _SAMPLES.get(name)
        return wanted if wanted in resolved["enum"] else resolved["enum"][0]
    if resolved.get("type") == "object":
        return _sample(resolved, description)
    number = int(resolved.get("minimum", 1))
    simple = {"integer": number, "number": number, "boolean": True, "array": []}
    text = b"a file" if resolved.get("format") == "binary" else _SAMPLES.get(name, "A fox flies.")
    return simple.get(resolved.get("type", ""), text)
