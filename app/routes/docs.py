"""The description of the API: `/openapi.json`, and `/docs` and `/redoc` to read it by."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from anyio import to_thread
from litestar import Litestar, Response, get
from litestar.params import FromPath

from app.errors import AnyRequest
from app.files import File, answer, file_of, policy, read_folder
from app.openapi import describe
from studio.errors import StudioError

_APP = Path(__file__).parents[1]
_FOLDERS = (_APP / "openapi" / "pages", _APP / "vendor" / "swagger-ui", _APP / "vendor" / "redoc")
FILES = {name: file for folder in _FOLDERS for name, file in read_folder(folder).items()}

# Both programs style their elements as they go, and Redoc searches in a worker that it makes up.
_POLICY = policy(style_src="'self' 'unsafe-inline'", img_src="'self' data:", worker_src="'self' blob:")


@get(["/openapi.json", "/schema/openapi.json"], include_in_schema=False)
async def get_openapi(request: AnyRequest) -> Response[bytes]:
    """The description for programs."""
    # The first time it takes a tenth of a second.
    return answer(await to_thread.run_sync(_description, request.app), request, policy=_POLICY)


@get(["/docs", "/schema"], include_in_schema=False, sync_to_thread=False)
def show_docs(request: AnyRequest) -> Response[bytes]:
    """The description for people, who can also try the calls."""
    return answer(FILES["docs.html"], request, policy=_POLICY)


@get("/redoc", include_in_schema=False, sync_to_thread=False)
def show_redoc(request: AnyRequest) -> Response[bytes]:
    """The description for people, to read."""
    return answer(FILES["redoc.html"], request, policy=_POLICY)


@get("/docs/{name:str}", include_in_schema=False, sync_to_thread=False)
def get_docs_file(name: FromPath[str], request: AnyRequest) -> Response[bytes]:
    """What these pages are made of."""
    if name not in FILES:
        raise StudioError("NOT_FOUND")
    return answer(FILES[name], request, policy=_POLICY)


@cache
def _description(app: Litestar) -> File:
    return file_of(msgspec.json.encode(describe(app)), "application/json")
