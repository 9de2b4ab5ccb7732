"""What a handler takes from path, query and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from litestar.types import Empty
from litestar.typing import FieldDefinition
from msgspec import Meta

Json = dict[str, Any]
Place = Literal["path", "query", "header"]
_PLACES: dict[type[object], Place] = {
    PathParameter: "path",
    QueryParameter: "query",
    HeaderParameter: "header",
}
_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    """As it is sent; that of a path parameter, which is not sent, in camelCase."""
    place: Place
    schema: Json
    is_required: bool


def parameters_of(handler: HTTPRouteHandler) -> list[Parameter]:
    """The parameters of a route, in the order of the handler's own."""
    found = []
    for name, field in handler.parsed_fn_signature.parameters.items():
        place = _PLACES.get(type(field.kwarg_definition))
        if place:
            sent = camel(name) if place == "path" else getattr(field.kwarg_definition, "name", None) or name
            found.append(Parameter(sent, place, _schema(field), is_required=field.default is Empty))
    return found


def is_constrained(parameter: Parameter) -> bool:
    """Whether some value of it is refused; any text is an id of something that may exist."""
    return parameter.place != "path" and parameter.schema != {"type": "string"}


def describe_parameter(parameter: Parameter, description: str, example: object) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": description,
        "schema": parameter.schema,
        "example": example,
    }


def camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _schema(field: FieldDefinition) -> Json:
    kind = _without_none(field.annotation)
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


def _without_none(kind: Any) -> Any:
    """A parameter that may be left out is not sent as null."""
    if get_origin(kind) not in (Union, UnionType):
        return kind
    kinds = [part for part in get_args(kind) if part is not NoneType]
    return Union[tuple(kinds)]  # noqa: UP007 (the parts are known only now)
