"""The operations of the API: each handler with its method and path, and what it reads and answers with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from litestar import Litestar, Response
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.utils.helpers import unwrap_partial

from app.openapi.parameters import Parameter, camel, parameter_of, path_parameter
from app.openapi.refusals import Refused


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
        return self.handler.parsed_fn_signature.parameters.keys()

    @property
    def body(self) -> tuple[str, Any] | None:
        """The media type and the type of what it reads."""
        field = self.handler.parsed_fn_signature.parameters.get("data")
        if field is None:
            return None
        wanted = field.kwarg_definition
        encoding = wanted.media_type if isinstance(wanted, BodyKwarg) else RequestEncodingType.JSON
        return str(encoding.value if isinstance(encoding, RequestEncodingType) else encoding), field.annotation

    @property
    def specs(self) -> Mapping[int, ResponseSpec]:
        """What the handler itself says of its answers."""
        return self.handler.responses or {}

    @property
    def answers(self) -> dict[int, ResponseSpec]:
        """What it answers with when it refuses nothing, by status; what the handler says goes before its annotation."""
        declared = {status: spec for status, spec in self.specs.items() if not isinstance(spec, Refused)}
        kind = self.handler.parsed_fn_signature.return_type.annotation
        if get_origin(kind) is Response:
            (kind,) = get_args(kind)
        usual = ResponseSpec(kind, description="", media_type="application/json")
        return {self.handler.status_code: usual, **declared}


def operations_of(app: Litestar) -> Iterator[Operation]:
    """Every operation that is described, in the order of the routes. HEAD answers like GET, and goes without saying."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = route.path_format
        for name in route.path_parameters:
            path = path.replace(f"{{{name}}}", f"{{{camel(name)}}}")
        for method, (handler, _) in route.route_handler_map.items():
            if handler.resolve_include_in_schema() and method != "HEAD":
                fields = handler.parsed_fn_signature.parameters
                sent = [parameter for name, field in fields.items() if (parameter := parameter_of(name, field))]
                places = [path_parameter(name) for name in route.path_parameters]
                yield Operation(method, path, [*places, *sent], handler)
