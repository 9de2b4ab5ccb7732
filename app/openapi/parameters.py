"""What a handler takes from path, query and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import Empty
from litestar.typing import FieldDefinition
from msgspec import Meta

Json = dict[str, Any]

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    """As it is sent; that of a place in the path in camelCase."""
    place: Literal["path", "query", "header"]
    schema: Json
    is_required: bool

    @property
    def is_constrained(self) -> bool:
        """Whether some value of it is no valid input. In a path, such a value only names nothing."""
        return self.place != "path" and self.schema != {"type": "string"}


def path_parameter(name: str) -> Parameter:
    return Parameter(camel(name), "path", {"type": "string"}, is_required=True)


def parameter_of(name: str, field: FieldDefinition) -> Parameter | None:
    """What a handler's parameter takes from query or headers; None when it is given something else."""
    match field.kwarg_definition:
        case QueryParameter(name=sent):
            return Parameter(sent or name, "query", _schema(field), is_required=field.default is Empty)
        case HeaderParameter(name=sent):
            return Parameter(sent or name, "header", _schema(field), is_required=field.default is Empty)
        case _:
            return None


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _schema(field: FieldDefinition) -> Json:
    kind = without_none(field.annotation)
    rules = {name: getattr(field.kwarg_definition, name) for name in _CONSTRAINTS}
    rules = {name: rule for name, rule in rules.items() if rule is not None}
    ((schema,), components) = msgspec.json.schema_components(
        [Annotated[kind, Meta(**rules)] if rules else kind], ref_template="{name}"
    )
    if "$ref" in schema:
        schema = components[schema["$ref"]]
    if field.default is not Empty and field.default is not None:
        schema = {**schema, "default": msgspec.to_builtins(field.default)}
    return schema


def without_none(kind: Any) -> Any:
    """The type of what is sent: what may be left out is not sent as null."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    kinds = [part for part in get_args(kind) if part is not NoneType]
    return Union[tuple(kinds)]  # noqa: UP007 (the parts are known only now)
