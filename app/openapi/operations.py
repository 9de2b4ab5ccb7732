"""The operations of the API: each handler with its method and path, and the types that it reads and answers with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from litestar import Litestar, Response
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import BodyKwarg
from litestar.routes import HTTPRoute
from litestar.utils.helpers import unwrap_partial

from app.openapi.parameters import camel
from app.openapi.refusals import Refused


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    """As in the description, with parameters in camelCase."""
    handler: HTTPRouteHandler

    @property
    def name(self) -> str:
        return self.handler.handler_name

    @property
    def tag(self) -> str:
        """The module of its route."""
        return str(unwrap_partial(self.handler.fn).__module__).rpartition(".")[2]

    @property
    def doc(self) -> str:
        return inspect.getdoc(unwrap_partial(self.handler.fn)) or ""

    @property
    def needs_client(self) -> bool:
        return "owner" in self.handler.parsed_fn_signature.parameters

    @property
    def body(self) -> tuple[str, Any] | None:
        """The media type and the type of what it reads."""
        field = self.handler.parsed_fn_signature.parameters.get("data")
        if field is None:
            return None
        body = field.kwarg_definition
        media_type = body.media_type if isinstance(body, BodyKwarg) else RequestEncodingType.JSON
        return str(media_type.value if isinstance(media_type, RequestEncodingType) else media_type), field.annotation

    @property
    def answers(self) -> dict[int, ResponseSpec]:
        """What it answers with when it refuses nothing, by status; a handler's `responses` go before its annotation."""
        declared = {
            status: spec for status, spec in (self.handler.responses or {}).items() if not isinstance(spec, Refused)
        }
        kind = self.handler.parsed_fn_signature.return_type.annotation
        if get_origin(kind) is Response:
            (kind,) = get_args(kind)
        usual = ResponseSpec(kind, description="", media_type="application/json")
        return dict(sorted({self.handler.status_code: usual, **declared}.items()))


def operations_of(app: Litestar) -> Iterator[Operation]:
    """Every operation that is described, in the order of the routes."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = route.path_format
        for name in route.path_parameters:
            path = path.replace(f"{{{name}}}", f"{{{camel(name)}}}")
        for method, (handler, _) in route.route_handler_map.items():
            if handler.resolve_include_in_schema() and method != "HEAD":
                yield Operation(method, path, handler)
