"""Where objects live in the bucket: `clients/{owner}/artworks/{artworkId}/{type}/v{n}/{file}.{ext}`."""

from __future__ import annotations

import re
from typing import NamedTuple

from studio.media_assets import Kind

LENT = "lent/"

# Uploads wait under a type of their own: what was not committed can be told, and swept, by its key alone.
_UPLOAD = re.compile(
    r"clients/(?P<owner>[\w-]+)/artworks/(?P<artwork_id>[\w-]+)/upload/v1/(?P<kind>image|audio|video)-(?P<id>[\w-]+)\.\w+"
)


_PLACE = re.compile(
    r"clients/[\w-]+/artworks/(?P<artwork_id>[\w-]+)/(?P<folder>[a-z]+)/v(?P<version>\d{1,9})/(?P<name>[\w-]+)\.\w+"
)


_EXPORT = re.compile(r"clients/[\w-]+/exports/(?P<name>[\w-]+)\.zip")


class Place(NamedTuple):
    """What the key of any object tells. The name is the id of an upload, an asset or an export; the last has no
    artwork."""

    artwork_id: str
    folder: str
    version: int
    name: str


class Upload(NamedTuple):
    """What the key of an upload tells."""

    id: str
    artwork_id: str
    kind: Kind


def object_key(owner: str, artwork_id: str, folder: str, version: int, file: str) -> str:
    """The key of a finished object; `folder` is original, thumb, audio, video, render or analysis."""
    return f"{owner_prefix(owner)}artworks/{artwork_id}/{folder}/v{version}/{file}"


def owner_prefix(owner: str) -> str:
    """What the keys of all objects made for an owner begin with. Only imported films have keys of their own."""
    return f"clients/{owner}/"


def export_key(owner: str, export_id: str) -> str:
    return f"{owner_prefix(owner)}exports/{export_id}.zip"


def lent_key(file: str) -> str:
    """The key of a copy that a service fetches by its address. It belongs to a call that is under way, and to nobody's
    work."""
    return f"{LENT}{file}"


def is_in_folder_of(owner: str, key: str) -> bool:
    """Whether a key lies in an owner's folder. One that goes a way around, as over "..", lies in nobody's."""
    parts = key.split("/")
    is_below = parts[:2] == ["clients", owner] and len(parts) > 2
    return is_below and {"", ".", ".."}.isdisjoint(parts) and "\0" not in key


def upload_key(owner: str, artwork_id: str, kind: Kind, upload_id: str, extension: str) -> str:
    return object_key(owner, artwork_id, "upload", 1, f"{kind}-{upload_id}.{extension}")


def parse_upload_key(key: str, owner: str) -> Upload | None:
    """An owner's upload; None for any other key."""
    match = _UPLOAD.fullmatch(key)
    if match is None or match["owner"] != owner:
        return None
    return Upload(match["id"], match["artwork_id"], Kind(match["kind"]))


def parse_key(key: str) -> Place | None:
    """The place of an object that was made here; None for any other key."""
    if export := _EXPORT.fullmatch(key):
        return Place("", "exports", 0, export["name"])
    match = _PLACE.fullmatch(key)
    return Place(match["artwork_id"], match["folder"], int(match["version"]), match["name"]) if match else None
