"""Writing everything that is kept of a client into one ZIP, for people to read and for programs to check.

README.txt       what is in it, in both languages
data/*.json      the documents, a file for each collection
media/...        drawings, recordings, films; where a document names a file, it is this path
manifest.json    size and SHA-256 of each of the files above
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import msgspec

from studio.keys import owner_prefix
from studio.privacy import OWNED, Owned
from studio.records import Document
from studio.studio import Studio

README = """\
画伴数据导出

这里是画伴为这个客户端保存的全部内容。
data/ 里每个 JSON 文件是一类记录，时间都是 UTC；media/ 里是画、录音和影片，记录里提到的文件路径都在这里；
manifest.json 列出每个文件的大小和 SHA-256，可以用来检查文件是否完整。

{zh}

HuaBan data export

This is everything that HuaBan keeps of this client.
Each JSON file in data/ is one kind of record, with times in UTC. media/ has the drawings, recordings and films; where a
record names a file, it is found there. manifest.json lists size and SHA-256 of each file, to check that it is whole.

{en}
"""


class Entry(msgspec.Struct, frozen=True):
    path: str
    size: int
    sha256: str


class Missing(msgspec.Struct, frozen=True):
    """A file that a record names and the bucket does not have."""

    path: str


def write_archive(studio: Studio, owner: str, target: IO[bytes]) -> None:
    """Write the archive, one document and one piece of a file at a time. Raises StoreUnavailable and driver errors."""
    with ZipFile(target, "w") as archive:
        writer = _Writer(archive)
        writer.write("README.txt", [_readme().encode()])
        for owned in OWNED:
            documents = studio.database[owned.name].find(owned.of(owner)).sort("_id", 1)
            writer.write(f"data/{owned.name}.json", _json_list(_told(owned, document, owner) for document in documents))
        for key in media_keys(studio, owner):
            writer.copy(path_of(key, owner), studio.objects.read(key))
        writer.write("manifest.json", [_indented({"files": writer.entries, "missing": writer.missing})])


def media_keys(studio: Studio, owner: str) -> Iterator[str]:
    """The keys of all objects of an owner but the exports themselves; imported films come last."""
    prefix = owner_prefix(owner)
    for stored in studio.objects.list_objects(prefix):
        if not stored.key.startswith(f"{prefix}exports/"):
            yield stored.key
    for asset in studio.media_assets.list_outside(owner, prefix).now():
        yield asset.key


def path_of(key: str, owner: str) -> str:
    """Where in the archive an object is."""
    prefix = owner_prefix(owner)
    inside = key.removeprefix(prefix).removeprefix("artworks/") if key.startswith(prefix) else f"imported/{key}"
    # An imported key may be anything, and no archive may tell whoever unpacks it to write outside of its folder.
    parts = [part for part in PurePosixPath(inside.replace("\\", "/")).parts if part not in {"/", "..", "."}]
    return "/".join(["media", *parts])


class _Writer:
    """Files into a ZIP, each with what the manifest says of it."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self.entries: list[Entry] = []
        self.missing: list[Missing] = []

    def write(self, path: str, pieces: Iterable[bytes], *, compression: int = ZIP_DEFLATED) -> None:
        info = ZipInfo(path, time.gmtime()[:6])
        info.compress_type = compression
        digest, size = hashlib.sha256(), 0
        with self._archive.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        self.entries.append(Entry(path, size, digest.hexdigest()))

    def copy(self, path: str, pieces: Iterator[bytes]) -> None:
        """An object; media do not get any smaller. One that is gone is noted as missing."""
        try:
            first = next(pieces, b"")
        except FileNotFoundError:
            self.missing.append(Missing(path))
            return
        self.write(path, _chained(first, pieces), compression=ZIP_STORED)


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _readme() -> str:
    lists = {
        language: "\n".join(f"data/{owned.name}.json: {owned.about.in_(language)}" for owned in OWNED)
        for language in ("zh", "en")
    }
    return README.format(**lists)


def _told(owned: Owned, document: Document, owner: str) -> Document:
    """A document as its owner may read it: without internals, and with paths in the archive for keys in the bucket."""

    def told(name: str, value: Any) -> Any:
        match value:
            case str() if name == "key" or name.endswith("_key"):
                return path_of(value, owner)
            case dict():
                return {inner: told(inner, item) for inner, item in value.items() if inner not in owned.hidden}
            case list():
                return [told(name, item) for item in value]
        return value

    shown: Document = told("", document)
    return {"id": shown.pop("_id"), **shown} if "_id" in shown else shown


def _json_list(documents: Iterable[Document]) -> Iterator[bytes]:
    yield b"["
    for position, document in enumerate(documents):
        yield (b",\n" if position else b"\n") + _indented(document)
    yield b"\n]\n"


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
