"""Looking at what is kept of a client, for actors too."""

from tests.app.conftest import http, traces

__all__ = ["http", "traces"]
