"""Small inputs that the tests of media make for themselves, and a bucket in a folder."""

from __future__ import annotations

import shutil
import struct
import wave
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw

from studio.media import ffmpeg
from studio.objects import ObjectHead, ObjectStore

RATE = 16_000


def drawing(path: Path, size: tuple[int, int] = (640, 480)) -> Path:
    """A red ball and a blue square, free on white paper."""
    image = Image.new("RGB", size, (250, 248, 242))
    pen = ImageDraw.Draw(image)
    width, height = size
    pen.ellipse((0.15 * width, 0.2 * height, 0.45 * width, 0.6 * height), fill=(210, 40, 40))
    pen.rectangle((0.65 * width, 0.55 * height, 0.85 * width, 0.85 * height), fill=(40, 80, 200))
    image.save(path)
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG that claims a size and has no pixels."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(body)) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT")
    return path


def tone(seconds: float, *, hertz: float = 440.0, level: float = 0.3) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A tone that comes and goes twice a second, like syllables do."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(level * np.sin(2 * np.pi * hertz * t) * (np.sin(2 * np.pi * t) > 0))


def wav(path: Path, samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def run(*arguments: str | Path) -> Path:
    """Run FFmpeg; the last argument is the file it writes."""
    ffmpeg.run([*map(str, arguments[:-1]), "-y", str(arguments[-1])], timeout_s=30)
    return Path(arguments[-1])


def clip(path: Path, *, seconds: float = 1.0, sound: bool = True) -> Path:
    """A small film in the format that the ending names."""
    picture = ("-f", "lavfi", "-i", f"testsrc=size=64x48:rate=10:duration={seconds}")
    tone = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}") if sound else ()
    return run(*picture, *tone, path)


class FolderStore:
    """An object store that is a folder. Counts what was written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads = 0

    @property
    def as_store(self) -> ObjectStore:
        return cast("ObjectStore", self)

    def put(self, key: str, source: Path) -> str:
        self._path(key).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self._path(key))
        return key

    def head(self, key: str) -> ObjectHead | None:
        path = self._path(key)
        return ObjectHead("etag", path.stat().st_size, "video/mp4") if path.is_file() else None

    def upload(self, path: Path, key: str, *, mime: str) -> ObjectHead:
        self.uploads += 1
        self.put(key, path)
        return ObjectHead("etag", path.stat().st_size, mime)

    def download(self, key: str, path: Path) -> None:
        if not self._path(key).is_file():
            raise FileNotFoundError(path.name)
        shutil.copy(self._path(key), path)

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        if not self._path(key).is_file():
            raise FileNotFoundError(key)
        yield self._path(key)

    def presign_get(self, key: str, *, mime: str = "") -> str:
        return f"https://bucket.example.com/{key}?signature=simulated"

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key
