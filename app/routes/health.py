"""`GET /healthz`: whether this deployment can do its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dramatiq.errors import ConnectionError as BrokerConnectionError
from litestar import Response, get
from pymongo.errors import PyMongoError

from app.dependencies import TheBroker, TheStudio
from broker.stats import age_of_oldest_ready_s, has_busy_worker
from studio.errors import NotNow

STUCK_AFTER_S = 60.0
"""Work that has waited for this long while nobody holds any means that no worker is working."""


@get("/healthz", sync_to_thread=True)
def healthz(studio: TheStudio, broker: TheBroker) -> Response[dict[str, Any]]:
    """200 when the database and the bucket answer and ready work is being claimed, 503 otherwise."""

    def queue_moves() -> None:
        age_s = age_of_oldest_ready_s(broker)
        if age_s > STUCK_AFTER_S and not has_busy_worker(broker):
            raise NotNow(f"work has been waiting for {age_s:.0f} s")

    checks = {
        "mongodb": _check(lambda: studio.client.admin.command("ping")),
        "s3": _check(studio.objects.ping),
    }
    # The queue lives in the database: without that, to ask would only take as long again.
    checks["queue"] = _check(queue_moves) if checks["mongodb"] == "ok" else "unknown"
    healthy = all(state == "ok" for state in checks.values())
    body = {"status": "ok" if healthy else "degraded", "checks": checks}
    return Response(body, status_code=200 if healthy else 503)


def _check(look: Callable[[], object]) -> str:
    try:
        look()
    except NotNow as error:
        return str(error)
    except (PyMongoError, BrokerConnectionError) as error:
        return type(error).__name__
    return "ok"
