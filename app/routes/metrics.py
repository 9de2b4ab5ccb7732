"""`GET /metrics`: figures for Prometheus."""

from __future__ import annotations

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from app.dependencies import TheHub, TheStoredFigures
from app.metrics import exposition


@get("/metrics", sync_to_thread=True, media_type="text/plain")
def get_metrics(stored_figures: TheStoredFigures, hub: TheHub) -> Response[str]:
    """What this process has answered and how fast, and how queues, jobs and steps are, in Prometheus' text format."""
    return Response(exposition(stored_figures, watchers=hub.watchers), media_type=CONTENT_TYPE_PLAIN_0_0_4)
