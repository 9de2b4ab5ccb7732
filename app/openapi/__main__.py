"""`python -m app.openapi`: write the Postman collection anew. Nothing is asked of a database."""

from __future__ import annotations

import asyncio
import os

import httpx

from app.openapi.postman import COLLECTION, text_of

# Only who serves calls needs a real one.
os.environ.setdefault("OWNER_KEY", "none")
os.environ["LOG_LEVEL"] = "WARNING"

from app.main import app


async def _described() -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return text_of((await client.get("/openapi.json")).json())


COLLECTION.write_text(asyncio.run(_described()), encoding="utf-8")
