"""The routes, one module per resource. A module's handlers are found here without being listed."""

from litestar.handlers import BaseRouteHandler

from app.routes import (
    analyses,
    artworks,
    docs,
    events,
    gallery,
    generation,
    grow,
    health,
    images,
    init,
    lineage,
    media,
    metrics,
    page,
    privacy,
    spend,
    tickets,
    webhooks,
)

_MODULES = (
    init,
    tickets,
    media,
    images,
    artworks,
    gallery,
    generation,
    events,
    analyses,
    grow,
    lineage,
    privacy,
    spend,
    webhooks,
    health,
    metrics,
    docs,
    page,
)

ROUTES = [handler for module in _MODULES for handler in vars(module).values() if isinstance(handler, BaseRouteHandler)]

__all__ = ["ROUTES"]
