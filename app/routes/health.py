"""`GET /healthz`: whether this deployment can do its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from dramatiq.errors import ConnectionError as BrokerConnectionError
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec
from pymongo.errors import PyMongoError

from app.dependencies import TheBroker, TheStudio
from app.views import View
from broker.stats import age_of_oldest_ready_s, has_busy_worker
from studio.errors import NotNow

STUCK_AFTER_S = 60.0
"""Work that has waited for this long while nobody holds any means that no worker is working."""


class HealthView(View, frozen=True, kw_only=True):
    status: Literal["ok", "degraded"]
    checks: dict[str, str]
    """Of each dependency: `ok`, or what is wrong with it."""


@get(
    "/healthz",
    sync_to_thread=True,
    responses={503: ResponseSpec(HealthView, description="Something is missing. 有依赖不可用。")},
)
def healthz(studio: TheStudio, broker: TheBroker) -> Response[HealthView]:
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
    view = HealthView(status="ok" if healthy else "degraded", checks=checks)
    return Response(view, status_code=200 if healthy else 503)


def _check(look: Callable[[], object]) -> str:
    try:
        look()
    except NotNow as error:
        return str(error)
    except (PyMongoError, BrokerConnectionError) as error:
        return type(error).__name__
    return "ok"
