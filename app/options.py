"""OPTIONS: which methods an address takes."""

from __future__ import annotations

from litestar import Litestar
from litestar.routes import HTTPRoute


def name_all_methods(litestar: Litestar) -> None:
    """Let OPTIONS name every method of an address.

    The framework answers it with those of the handler that it met first: it keeps that answer when others join.
    """
    for route in litestar.routes:
        if isinstance(route, HTTPRoute):
            handler = route.create_options_handler(route.path)
            handler.owner = litestar
            handler.on_registration(litestar)
            model = handler.create_kwargs_model(path_parameters=route.path_parameters)
            route.route_handler_map["OPTIONS"] = (handler, model)
