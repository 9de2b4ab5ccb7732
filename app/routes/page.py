"""`GET /`: the page that a family uses on its own machine. A few files, the same for everybody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from litestar import Response, get
from litestar.params import FromPath

from app.dependencies import TheStudio
from app.errors import AnyRequest
from studio.errors import StudioError
from studio.settings import Settings

_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    content: bytes
    media_type: str
    etag: str


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, _MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')


_PAGE = Path(__file__).parents[1] / "page"
FILES = {path.name: _read(path) for path in _PAGE.iterdir() if path.suffix in _MEDIA_TYPES}


@get("/", include_in_schema=False, sync_to_thread=False)
def show_page(request: AnyRequest, studio: TheStudio) -> Response[bytes]:
    """The page itself."""
    return _answer(FILES["index.html"], request, studio.settings)


@get("/page/{name:str}", include_in_schema=False, sync_to_thread=False)
def get_page_file(name: FromPath[str], request: AnyRequest, studio: TheStudio) -> Response[bytes]:
    """What the page is made of."""
    if name not in FILES:
        raise StudioError("NOT_FOUND")
    return _answer(FILES[name], request, studio.settings)


def _answer(file: PageFile, request: AnyRequest, settings: Settings) -> Response[bytes]:
    headers = {
        "ETag": file.etag,
        # Names stay when contents change, so a browser asks every time, and mostly hears that nothing changed.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _policy(settings),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    # A proxy that compresses makes the tag a weak one: W/"...".
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _policy(settings: Settings) -> str:
    """Nothing from elsewhere but the bucket, and nothing inline."""
    store = urlsplit(settings.s3_public_endpoint)
    host = store.netloc if settings.s3_force_path_style else f"{settings.s3_bucket}.{store.netloc}"
    media = f"'self' blob: {store.scheme}://{host} {settings.public_url}".rstrip()
    return "; ".join(
        (
            "default-src 'self'",
            f"img-src {media} data:",
            f"media-src {media}",
            f"connect-src {media}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
