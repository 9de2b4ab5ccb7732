"""`GET /`: the page that a family uses on its own machine. A few files, the same for everybody."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from litestar import Response, get
from litestar.params import FromPath

from app.dependencies import TheStudio
from app.errors import AnyRequest
from app.files import answer, policy, read_folder
from studio.errors import StudioError
from studio.settings import Settings

FILES = read_folder(Path(__file__).parents[1] / "page")


@get("/", include_in_schema=False, sync_to_thread=False)
def show_page(request: AnyRequest, studio: TheStudio) -> Response[bytes]:
    """The page itself."""
    return answer(FILES["index.html"], request, policy=_policy(studio.settings))


@get("/page/{name:str}", include_in_schema=False, sync_to_thread=False)
def get_page_file(name: FromPath[str], request: AnyRequest, studio: TheStudio) -> Response[bytes]:
    """What the page is made of."""
    if name not in FILES:
        raise StudioError("NOT_FOUND")
    return answer(FILES[name], request, policy=_policy(studio.settings))


def _policy(settings: Settings) -> str:
    """Nothing from elsewhere but the bucket, and nothing inline."""
    store = urlsplit(settings.s3_public_endpoint)
    host = store.netloc if settings.s3_force_path_style else f"{settings.s3_bucket}.{store.netloc}"
    media = f"'self' blob: {store.scheme}://{host} {settings.public_url}".rstrip()
    return policy(img_src=f"{media} data:", media_src=media, connect_src=media)
