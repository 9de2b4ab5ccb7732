"""A thousand things that people, phones and attackers send, and that are no media: the same ones every time."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from studio.media_assets import Kind
from tests.studio import made

SEED = 20261122
PICTURES = ("JPEG", "PNG", "WEBP", "HEIF")
SOUNDS = ("wav", "ogg", "webm", "mp3", "m4a", "flac")
FILMS = ("mp4", "webm", "mov")
OTHERS = {
    "gif and script": b"GIF89a/*" + bytes(8) + b"*/=1;alert(1)//",
    "gif": b"GIF87a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "page": b"<!doctype html><script>fetch('//x')</script>",
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj",
    "zip": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(40),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "bmp": b"BM" + bytes(60),
    "tiff": b"II*\x00\x08\x00\x00\x00" + bytes(40),
    "icon": b"\x00\x00\x01\x00\x01\x00\x10\x10" + bytes(40),
    "photoshop": b"8BPS\x00\x01" + bytes(40),
    "avif": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1" + bytes(40),
    "sequence": b"\x00\x00\x00\x1cftypmsf1\x00\x00\x00\x00hevcmsf1" + bytes(40),
    "program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "nothing": b"",
    "one byte": b"\x00",
    "zeros": bytes(5_000),
    "text": "从前有一只小狐狸。".encode(),
}
MAGIC = {
    "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "WEBP": b"RIFF\xff\xff\x00\x00WEBPVP8 ",
    "HEIF": b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic",
    "wav": b"RIFF\xff\xff\x00\x00WAVE",
    "ogg": b"OggS\x00\x02",
    "webm": b"\x1aE\xdf\xa3",
    "mp3": b"ID3\x04\x00",
    "m4a": b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00",
    "flac": b"fLaC\x00\x00\x00\x22",
    "mp4": b"\x00\x00\x00\x1cftypisom\x00\x00\x02\x00",
    "mov": b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00",
}


class Malformed(NamedTuple):
    name: str
    kind: Kind
    content: bytes


class Whole(NamedTuple):
    """One good file of each format."""

    pictures: dict[str, bytes]
    sounds: dict[str, bytes]
    films: dict[str, bytes]


def whole(folder: Path) -> Whole:
    return Whole(
        {name: _picture(name) for name in PICTURES},
        {ending: _sound(folder / f"sound.{ending}") for ending in SOUNDS},
        {ending: made.clip(folder / f"film.{ending}").read_bytes() for ending in FILMS},
    )


def media(good: Whole) -> Iterator[Malformed]:
    """Nine hundred files, each of which has to be refused as what it is sent for."""
    dice = random.Random(SEED)  # noqa: S311 (guards no secret)
    for kind, files in ((Kind.IMAGE, good.pictures), (Kind.AUDIO, good.sounds), (Kind.VIDEO, good.films)):
        yield from (Malformed(f"{kind}: {name}", kind, content) for name, content in OTHERS.items())
        yield from _noise(kind, files, dice)
        yield from _swapped(kind, files)
    yield from _cut(good, dice)
    yield from _of_another_kind(good)
    yield from _sizes(dice)
    yield from _flips(good.pictures["PNG"], dice)


def _noise(kind: Kind, formats: Iterable[str], dice: random.Random) -> Iterator[Malformed]:
    for name in formats:
        for _ in range(14):
            body = dice.randbytes(dice.randint(0, 4_000))
            yield Malformed(f"{kind}: {name} of noise", kind, MAGIC[name] + body)
            yield Malformed(f"{kind}: noise", kind, bytes([dice.randint(0, 0x19)]) + body)


def _swapped(kind: Kind, files: dict[str, bytes]) -> Iterator[Malformed]:
    """The head of one format on the body of another."""
    for name, content in files.items():
        for other in files:
            # Two that differ by a word in their heads, and are read by the same reader.
            if other != name and {name, other} != {"mp4", "mov"}:
                yield Malformed(f"{kind}: {name} in {other}", kind, MAGIC[other] + content[40:])


def _cut(good: Whole, dice: random.Random) -> Iterator[Malformed]:
    """Not sound: half a story is a story."""
    for name, content in good.pictures.items():
        for _ in range(60):
            yield Malformed(f"image: {name} cut", Kind.IMAGE, content[: dice.randint(1, int(0.9 * len(content)))])
    for name, content in good.films.items():
        for _ in range(20):
            yield Malformed(f"video: {name} cut", Kind.VIDEO, content[: dice.randint(1, 600)])


def _of_another_kind(good: Whole) -> Iterator[Malformed]:
    for content in (*good.sounds.values(), *good.films.values()):
        yield Malformed("image: sound or film", Kind.IMAGE, content)
    for content in good.pictures.values():
        yield Malformed("audio: picture", Kind.AUDIO, content)
        yield Malformed("video: picture", Kind.VIDEO, content)
    for content in good.films.values():
        yield Malformed("audio: film", Kind.AUDIO, content)
    for content in good.sounds.values():
        yield Malformed("video: sound", Kind.VIDEO, content)


def _sizes(dice: random.Random) -> Iterator[Malformed]:
    """Pictures that claim too much, and some that hold it: a few kilobytes for a gigabyte."""
    for _ in range(60):
        width, height = dice.randint(8_000, 2**31 - 1), dice.randint(8_000, 2**31 - 1)
        yield Malformed("image: claims too much", Kind.IMAGE, _png(width, height, b""))
    for width, height in ((50_000, 10), (10, 50_000), (16_385, 1)):
        yield Malformed(
            "image: thread", Kind.IMAGE, _png(width, height, zlib.compress(bytes((width // 8 + 2) * height)))
        )
    yield Malformed("image: bomb", Kind.IMAGE, _png(20_000, 20_000, zlib.compress(bytes(2_501 * 20_000))))
    for width, height in ((0, 10), (10, 0), (0, 0)):
        yield Malformed("image: of no size", Kind.IMAGE, _png(width, height, b""))


def _flips(png: bytes, dice: random.Random) -> Iterator[Malformed]:
    """A bit of the header is wrong, and its checksum says so."""
    for _ in range(60):
        flipped = bytearray(png)
        flipped[dice.randint(16, 28)] ^= 1 << dice.randint(0, 7)
        yield Malformed("image: flipped", Kind.IMAGE, bytes(flipped))


def _png(width: int, height: int, data: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _picture(name: str) -> bytes:
    file = io.BytesIO()
    noise = Image.effect_noise((90, 70), 60).convert("RGB")
    noise.save(file, name)
    return file.getvalue()


def _sound(path: Path) -> bytes:
    return made.run("-f", "lavfi", "-i", "sine=frequency=440:duration=1", path).read_bytes()


def calls() -> Iterator[tuple[str, str, Any]]:
    """Calls whose ids and names lead somewhere else: method, path and body."""
    odd: list[Any] = [
        "", " ", ".", "..", "../../etc/passwd", "..%2f..%2fetc", "/etc/passwd", "\\\\server\\share", "C:\\x", "a/b",
        "a\0", "\0", "a\n", "a\r\nX-Evil: 1", "%00", "%0a", "画伴", "\u202e", "\ufeff", "x" * 65, "x" * 5_000, "'", '"',
        "';drop", "$where", "$gt", "a.b", "{}", "[]", "null", "true", "<script>", "-1", "1e9", "🦊",
        None, True, 1, 1.5, {}, [], {"$gt": ""}, {"$ne": None}, {"$regex": ".*"}, {"$where": "1"}, ["$in"], [[]],
    ]  # fmt: skip
    for value in odd:
        if value:
            yield "POST", "/media/commit", {"key": value}
            yield "POST", "/upload/presign", {"type": "image", "mime": "image/png", "size": 1, "artworkId": value}
        yield "POST", "/upload/presign", {"type": value, "mime": "image/png", "size": 1}
        yield "POST", "/upload/presign", {"type": "image", "mime": value, "size": 1}
        yield "POST", "/upload/presign", {"type": "image", "mime": "image/png", "size": value if value != 1 else -1}
