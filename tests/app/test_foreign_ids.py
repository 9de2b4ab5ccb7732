"""Every id that a route takes, tried with somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler

from app.payloads import Payload
from tests.app.problems import problem_of
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, new_client

BODIES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("UploadCreate", "artworkId"): ("/upload/presign", {"type": "image", "mime": "image/png", "size": 1}),
    ("MediaCommit", "key"): ("/media/commit", {}),
    ("FilmOfKey", "key"): ("/generation/jobs/from-key", {}),
    ("ImageKey", "imageKey"): ("/artworks/from-image-key", {}),
    ("ArtworkCreate", "artworkId"): ("/artworks", {}),
    ("ArtworkCreate", "coverAssetId"): ("/artworks", {}),
    ("ArtworkCreate", "audioAssetId"): ("/artworks", {}),
    ("JobCreate", "artworkId"): ("/generation/jobs", {}),
    ("JobCreate", "coverAssetId"): ("/generation/jobs", {"text": "A fox."}),
    ("JobCreate", "audioAssetId"): ("/generation/jobs", {"text": "A fox."}),
    ("ProfileChange", "avatarAssetId"): ("/grow/profile", {}),
}


# What a route with an id in its path wants beside it.
BESIDE: dict[str, dict[str, Any]] = {
    "/artworks/{artwork_id:str}": {"title": "Owl"},
    "/artworks/{artwork_id:str}/audio/presign": {"mime": "audio/wav", "size": 1},
    "/artworks/{artwork_id:str}/audio/commit": {"audioKey": "nothing"},
}
# Ids in the body of a route that has one in its path; tests/app/test_edits.py and test_lineage.py try them.
ELSEWHERE = {("ArtworkUpdate", "coverAssetId"), ("ArtworkUpdate", "audioAssetId"), ("AudioKey", "audioKey")}


@pytest.fixture
def theirs(web: str, drawing: Path, product: Product) -> Iterator[dict[str, str]]:
    """What somebody else has, under the names that routes and bodies use."""
    with new_client(web) as stranger:
        artwork = new_artwork(stranger, drawing)
        job = stranger.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
        waiting = put(stranger, picture())
        asset = stranger.post("/media/commit", put(stranger, picture()))
        yield {
            "artwork_id": artwork["artworkId"],
            "artworkId": artwork["artworkId"],
            "job_id": job["jobId"],
            "coverAssetId": asset["mediaAssetId"],
            "audioAssetId": asset["mediaAssetId"],
            "avatarAssetId": asset["mediaAssetId"],
            "key": waiting["key"],
            "imageKey": waiting["key"],
        }
        assert stranger.get(f"/generation/jobs/{job['jobId']}") == job, "nobody has touched it"
        assert stranger.post("/media/commit", waiting)["mediaAssetId"], "nor removed the upload"


def test_a_foreign_id_in_a_path_is_not_found(http: httpx.Client, theirs: dict[str, str]) -> None:
    # Imported here, because with the routes come the actors, and they are wired by the settings of the tests.
    from app.routes import ROUTES

    handlers = [handler for handler in ROUTES if isinstance(handler, HTTPRouteHandler)]
    paths = [(handler, path) for handler in handlers for path in handler.paths if "_id:str}" in path]
    assert len(paths) >= 5
    for handler, path in paths:
        foreign = path
        for name, value in theirs.items():
            foreign = foreign.replace(f"{{{name}:str}}", value)
        assert "{" not in foreign
        for method in handler.http_methods:
            body = BESIDE.get(path) if method in {"PATCH", "POST"} else None
            problem_of(http.request(method, foreign, json=body), "NOT_FOUND")


@pytest.mark.parametrize(("payload", "field"), BODIES)
def test_a_foreign_id_in_a_body_is_not_found(
    http: httpx.Client, theirs: dict[str, str], payload: str, field: str
) -> None:
    path, body = BODIES[payload, field]
    problem_of(http.post(path, json={**body, field: theirs[field]}), "NOT_FOUND")


@pytest.mark.usefixtures("product")
def test_no_id_in_a_body_is_left_out_here() -> None:
    import app.routes  # noqa: F401 (where the bodies are)

    named = {
        (payload.__name__, field.encode_name)
        for payload in Payload.__subclasses__()
        for field in msgspec.structs.fields(payload)
        if field.name.endswith(("_id", "key"))
    }
    assert named == set(BODIES) | ELSEWHERE
