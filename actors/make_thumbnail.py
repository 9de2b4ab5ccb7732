"""The small picture of what was uploaded: a thumbnail of a drawing, a still of a film. Pages show them in lists."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore

import dramatiq
import structlog
from pymongo.client_session import ClientSession

from actors.waiting import waiting
from actors.wiring import studio
from broker import run_in_transaction
from studio.errors import StudioError
from studio.intake import CHECKS_AT_ONCE
from studio.keys import object_key
from studio.media import clips, images
from studio.media_assets import Kind, MediaAsset
from studio.scratch import scratch_folder

log = structlog.get_logger("actors")

# Behind the steps that a person watches.
PRIORITY = 1

_decoding = BoundedSemaphore(CHECKS_AT_ONCE)


@dramatiq.actor(actor_name="make_thumbnail", priority=PRIORITY, max_retries=3, time_limit=10 * 60 * 1000)
def make_thumbnail(asset_id: str) -> None:
    """Make the small picture of an asset, unless it has one. A run after it writes the same object once more."""
    with waiting():
        asset = studio.media_assets.load(asset_id).now()
        if asset is None or asset.kind is Kind.AUDIO or asset.thumb_key or asset.poster_key:
            return
        try:
            _store(asset)
        except (StudioError, FileNotFoundError) as error:
            # It passed its checks, so this is odd; but there is the picture itself to show.
            log.warning("no_thumbnail", reason=getattr(error, "symbol", "missing_file"))


def with_thumbnail(save: Callable[[ClientSession], MediaAsset]) -> MediaAsset:
    """Store an asset and ask for its small picture, in one transaction: the `Store` of `studio.uploads`."""

    def store(session: ClientSession) -> MediaAsset:
        asset = save(session)
        if asset.kind is not Kind.AUDIO:
            make_thumbnail.send(asset.id)
        return asset

    return run_in_transaction(studio.client, store)


def _store(asset: MediaAsset) -> None:
    key = object_key(asset.owner, asset.artwork_id, "thumb", 1, f"{asset.id}.jpg")
    with scratch_folder() as folder:
        target = folder / "small.jpg"
        with studio.objects.local_copy(asset.key) as path, _decoding:
            if asset.kind is Kind.IMAGE:
                images.thumbnail(path, target, max_pixels=studio.settings.image_max_pixels)
            else:
                clips.poster(path, target)
        studio.objects.upload(target, key, mime="image/jpeg")
    field = "thumb_key" if asset.kind is Kind.IMAGE else "poster_key"
    if not studio.media_assets.set_still(asset.id, **{field: key}):
        # Erased meanwhile, and nothing may stay behind.
        studio.objects.delete(key)
