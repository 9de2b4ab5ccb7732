"""The web application: what `uvicorn app.main:app` serves."""

from __future__ import annotations

from actors import broker, studio
from app.application import create_app

app = create_app(studio, broker)
