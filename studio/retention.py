"""What is kept for a time only: finding what is past it, and removing it. `actors.housekeeping` says when.

Documents go before their objects. What dies in between leaves objects that belong to nothing, and those are swept.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from pymongo.client_session import ClientSession

from studio.artworks import Artwork
from studio.media_assets import Kind, MediaAsset
from studio.settings import Settings
from studio.studio import Studio


def due_media(studio: Studio, assets: list[MediaAsset], *, now: datetime) -> list[MediaAsset]:
    """Those of these media whose time is over: nothing uses them, or they are recordings that the settings let go."""
    users = defaultdict(list)
    for artwork in studio.artworks.list_using(assets).now():
        for asset_id in artwork.asset_ids:
            users[asset_id].append(artwork)
    avatars = studio.profiles.avatars({asset.owner for asset in assets})
    busy = studio.jobs.busy_artworks({artwork.id for artworks in users.values() for artwork in artworks})

    def is_due(asset: MediaAsset) -> bool:
        used_by = users[asset.id]
        if asset.id in avatars:
            return False
        if not used_by:
            return now - asset.created_at > timedelta(days=studio.settings.retain_failed_days)
        is_at_work = any(artwork.id in busy for artwork in used_by)
        return asset.kind is Kind.AUDIO and not is_at_work and is_heard(studio.settings, asset, used_by, now=now)

    return [asset for asset in assets if is_due(asset)]


def is_heard(settings: Settings, recording: MediaAsset, artworks: list[Artwork], *, now: datetime) -> bool:
    """Whether a recording has served its purpose, by the setting RECORDINGS."""
    age = now - recording.created_at
    match settings.recordings.split(":"):
        case ["days", days]:
            return age > timedelta(days=int(days))
        case ["transcribe_then_delete"]:
            is_old = age > timedelta(days=settings.retain_failed_days)
            return all(
                any(film.created_at > recording.created_at for film in artwork.versions)
                or (is_old and artwork.transcript is not None)
                for artwork in artworks
            )
    return False


def remove_media(studio: Studio, asset: MediaAsset, session: ClientSession) -> None:
    """Remove an asset, and let the artworks it was the recording of do without."""
    studio.artworks.forget_recording(asset.owner, asset.id, session=session)
    studio.media_assets.delete([asset], session=session)


def purge(studio: Studio, artwork: Artwork, session: ClientSession) -> list[MediaAsset]:
    """Remove an artwork out of the bin with all that belongs to nothing else; the assets that went with it.

    Nothing is removed when it was restored meanwhile, or while somebody is at work for it.
    """
    if studio.jobs.busy_artworks({artwork.id}, session=session) or not studio.artworks.purge(artwork, session=session):
        return []
    assets = studio.media_assets.list_of(artwork.owner, artwork.id, artwork.asset_ids).now(session=session)
    others = studio.artworks.list_using(assets).now(session=session)
    in_use = {asset_id for other in others for asset_id in other.asset_ids}
    in_use |= studio.profiles.avatars([artwork.owner], session=session)
    gone = [asset for asset in assets if asset.id not in in_use]
    studio.media_assets.delete(gone, session=session)
    studio.analyses.delete(artwork.id, session=session)
    studio.jobs.delete_of(artwork, session=session)
    return gone


def remove_objects(studio: Studio, assets: list[MediaAsset]) -> None:
    """Remove the objects of assets that are gone, except for what is somebody else's, too."""
    for asset in assets:
        shared = studio.media_assets.shared_keys(asset.owner, asset.keys)
        for key in asset.keys:
            if key not in shared:
                studio.objects.delete(key)
