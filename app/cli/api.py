"""`huaban api`: the web process alone."""

from __future__ import annotations

import rich_click as click
import uvicorn

from app.cli.lines import complaints
from app.cli.reading import read_settings, require_owner_key

# An open event stream never ends by itself, so what is left is cut after this long.
GRACE_S = 2


@click.command()
@click.option("--port", type=int, default=None, help="Port to listen on; PORT otherwise.")
@click.option("--host", default=None, help="Address to listen on; HOST otherwise.")
@click.option("--web-app", default="app.main:app", hidden=True)
def api(*, port: int | None, host: str | None, web_app: str) -> None:
    """Run the web process alone, against your own MongoDB and S3."""
    with complaints():
        settings = read_settings()
        require_owner_key(settings)
    uvicorn.run(
        web_app,
        host=host or settings.host,
        port=port or settings.port,
        # The application sets logging up, and its lines have no addresses in them.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )
