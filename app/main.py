"""The web application: what `huaban api` serves."""

from __future__ import annotations

from actors import broker, studio
from app.application import create_app

app = create_app(studio, broker)
