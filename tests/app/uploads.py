"""Uploads up to the commit, and media that nothing is wrong with."""

from __future__ import annotations

import io

from PIL import Image

from app.client import Client, Json


def put(client: Client, content: bytes, kind: str = "image", mime: str = "image/png") -> Json:
    """Presign and put some bytes; what to commit them with."""
    door = client.post("/upload/presign", {"type": kind, "mime": mime, "size": len(content)})
    stored = client._bucket.put(door["url"], content=content, headers=door["headers"])
    assert stored.status_code == 200
    return {"key": door["key"], "etag": stored.headers["etag"], "size": len(content)}


def picture(width: int = 64, height: int = 48, *, kind: str = "PNG") -> bytes:
    """A small picture, as the bytes of a file."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "#d03030").save(file, kind)
    return file.getvalue()
