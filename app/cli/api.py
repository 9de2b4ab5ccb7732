"""`huaban api`: the web process alone."""

from __future__ import annotations

import rich_click as click
import uvicorn

from studio.settings import settings


@click.command()
@click.option("--port", type=int, default=None, help="Port to listen on; PORT otherwise.")
@click.option("--host", default=None, help="Address to listen on; HOST otherwise.")
def api(*, port: int | None, host: str | None) -> None:
    """Run the web process alone, against your own MongoDB and S3."""
    uvicorn.run(
        "app.main:app",
        host=host or settings().host,
        port=port or settings().port,
        # The application sets logging up, and its lines have no addresses in them.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
    )
