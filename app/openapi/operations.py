"""The operations of the API: each handler with its method and path, and what it reads and answers with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.enums import MediaType, RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import RequestBody
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.types import Empty, Method
from litestar.typing import FieldDefinition
from litestar.utils.helpers import unwrap_partial

from app.openapi.parameters import Parameter, camel, parameter_of, path_parameter, without_none
from app.openapi.refusals import Refused

Json = dict[str, Any]

_METHODS: tuple[Method, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Body(NamedTuple):
    media_type: str
    kind: Any
    is_required: bool


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    """As in the description, with parameters in camelCase."""
    parameters: list[Parameter]
    handler: HTTPRouteHandler

    @property
    def name(self) -> str:
        return self.handler.handler_name

    @property
    def module(self) -> str:
        """Of its route."""
        return str(unwrap_partial(self.handler.fn).__module__).rpartition(".")[2]

    @property
    def doc(self) -> str:
        return inspect.getdoc(unwrap_partial(self.handler.fn)) or ""

    @property
    def names(self) -> AbstractSet[str]:
        """What the handler is given, dependencies included."""
        return _fields_of(self.handler).keys()

    @property
    def body(self) -> Body | None:
        field = _fields_of(self.handler).get("data")
        if field is None:
            return None
        wanted = field.kwarg_definition
        encoding = wanted.media_type if isinstance(wanted, BodyKwarg) else RequestEncodingType.JSON
        media_type = str(encoding.value if isinstance(encoding, RequestEncodingType) else encoding)
        return Body(media_type, without_none(field.annotation), is_required=field.default is Empty)

    @property
    def described_body(self) -> Json | None:
        """The body in the words of the handler's `operation_class`, when it reads the bytes itself."""
        body = self.handler.operation_class().request_body
        return body.to_schema() if isinstance(body, RequestBody) else None

    @property
    def specs(self) -> Mapping[int, ResponseSpec]:
        """What the handler itself says of its answers."""
        return self.handler.responses or {}

    @property
    def answers(self) -> dict[int, list[ResponseSpec]]:
        """What it answers with when it refuses nothing, by status; several where the caller may choose the type."""
        usual = [_spec(self.handler, kind) for kind in _kinds(self.handler.parsed_fn_signature.return_type.annotation)]
        answers = {self.handler.status_code: usual}
        for status, spec in self.specs.items():
            if not isinstance(spec, Refused):
                answers.setdefault(status, []).append(spec)
        return answers


def operations_of(app: Litestar) -> Iterator[Operation]:
    """Every operation that is described, in the order of the routes. HEAD answers like GET, and goes without saying."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = route.path_format
        for name in route.path_parameters:
            path = path.replace(f"{{{name}}}", f"{{{camel(name)}}}")
        # The framework has them in no order.
        for method in filter(route.route_handler_map.__contains__, _METHODS):
            handler, _ = route.route_handler_map[method]
            if handler.resolve_include_in_schema():
                sent = [
                    parameter for name, field in _fields_of(handler).items() if (parameter := parameter_of(name, field))
                ]
                places = [path_parameter(name) for name in route.path_parameters]
                yield Operation(method, path, [*places, *sent], handler)


def media_type_of(spec: ResponseSpec) -> str:
    return spec.media_type.value if isinstance(spec.media_type, MediaType) else spec.media_type


def _fields_of(handler: HTTPRouteHandler) -> dict[str, FieldDefinition]:
    """What a handler and its dependencies are given, by name."""
    dependencies = handler.resolve_dependencies()
    fields: dict[str, FieldDefinition] = {}
    waiting = dict(handler.parsed_fn_signature.parameters)
    while waiting:
        name, field = waiting.popitem()
        fields[name] = field
        if name in dependencies:
            given = dependencies[name].parsed_fn_signature.parameters
            waiting |= {other: of_other for other, of_other in given.items() if other not in fields}
    # In the order in which they are declared, the handler's own first.
    return dict(reversed(fields.items()))


def _kinds(annotation: Any) -> list[Any]:
    """The types of bodies in the annotation of an answer; what writes its answer itself is described by the handler."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = [get_args(part)[0] if get_origin(part) is Response else part for part in parts]
    return [
        kind for kind in kinds if isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or kind in (bytes, str))
    ]


def _spec(handler: HTTPRouteHandler, kind: Any) -> ResponseSpec:
    media_type = handler.media_type if kind in (bytes, str) else MediaType.JSON
    return ResponseSpec(kind, description="", media_type=media_type or MediaType.JSON)
