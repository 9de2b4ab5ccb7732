"""One client with a hundred thousand artworks: how long a page takes, wherever it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

from app.client import Client
from bench.figures import Figure
from bench.web.copies import Copies

ARTWORKS = 100_000
CLIENT_ID = "bench-of-a-long-gallery"
TIMES = 30
DEEP_PAGES = 50
"""How many pages of a hundred lie before the deep page."""


def measure(copies: Copies, url: str) -> list[Figure]:
    copies.gallery(CLIENT_ID, ARTWORKS)
    with Client(url, CLIENT_ID) as client:
        deep = next(islice(_cursors(client), DEEP_PAGES, None))
        pages: dict[str, dict[str, Any]] = {
            "first page": {},
            f"page after {100 * DEEP_PAGES:,}": {"cursor": deep},
            "page of one status": {"status": "ready"},
            "page of favourites, of which there are none": {"favourite": "true"},
            "page of a search with many hits": {"q": "whale"},
            "page of a search without hits": {"q": "helicopter"},
        }
        return [
            Figure(f"{ARTWORKS:,} artworks of one client: {name}", _milliseconds(client, asked), "ms")
            for name, asked in pages.items()
        ]


def _cursors(client: Client) -> Iterator[str]:
    cursor = client.get("/gallery", limit=100)["nextCursor"]
    while cursor:
        yield cursor
        cursor = client.get("/gallery", limit=100, cursor=cursor)["nextCursor"]


def _milliseconds(client: Client, asked: dict[str, Any]) -> float:
    found = []
    for _ in range(TIMES):
        began = time.monotonic()
        client.get("/gallery", limit=20, **asked)
        found.append(1000 * (time.monotonic() - began))
    return median(found)
