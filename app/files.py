"""The files of the web pages: a few, the same for everybody, held in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from litestar import Response

from app.errors import AnyRequest

_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    media_type: str
    etag: str


def read_folder(folder: Path) -> dict[str, File]:
    """The files of a folder by their names; what browsers do not ask for is left out."""
    return {path.name: _read(path) for path in folder.iterdir() if path.suffix in _MEDIA_TYPES}


def file_of(content: bytes, media_type: str) -> File:
    return File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


def policy(**sources: str) -> str:
    """A Content-Security-Policy: this server alone, nothing inline, and what `sources` allow (`img_src="data:"`)."""
    allowed = {"default_src": "'self'", **sources}
    denied = dict.fromkeys(("object_src", "base_uri", "form_action", "frame_ancestors"), "'none'")
    return "; ".join(f"{name.replace('_', '-')} {rule}" for name, rule in {**allowed, **denied}.items())


def answer(file: File, request: AnyRequest, *, policy: str) -> Response[bytes]:
    """The file, or nothing when the browser has it already. `policy` is its Content-Security-Policy."""
    headers = {
        "ETag": file.etag,
        # Names stay when contents change, so a browser asks every time, and mostly hears that nothing changed.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    # A proxy that compresses makes the tag a weak one: W/"...".
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _read(path: Path) -> File:
    return file_of(path.read_bytes(), _MEDIA_TYPES[path.suffix])
