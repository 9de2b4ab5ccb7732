"""Running FFmpeg: an argument list, a time limit, progress, and an error that keeps the tail of what it said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO

from studio.settings import settings

UNTRUSTED = ("-protocol_whitelist", "file,pipe")
"""Goes before every `-i`: a playlist inside an upload must not make FFmpeg open URLs."""

_TAIL_LINES = 20
_LISTEN_S = 0.25
_CHUNK_BYTES = 4096

# A worker may be killed outright, and its FFmpeg has to go with it. The kernel does that for a child which asks, and
# the request survives exec. A tiny Python asks and then becomes FFmpeg, because `preexec_fn` forks the whole threaded
# worker and can deadlock in the child. The parent may die before the child asks: hence the look at its id.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class FFmpegMissing(Exception):
    """No FFmpeg was found: not in the settings, not in a wheel, not on PATH."""


class FFmpegFailed(Exception):
    """FFmpeg stopped with an error or ran out of time.

    `tail` is the end of its stderr, which may name files. It stays out of the message for that reason; `cause` is a
    word that may be logged.
    """

    def __init__(self, returncode: int, tail: str, *, timed_out: bool = False) -> None:
        self.cause = "timeout" if timed_out else _cause(tail)
        super().__init__(f"FFmpeg stopped with {returncode} ({self.cause})")
        self.returncode = returncode
        self.tail = tail
        self.timed_out = timed_out


_CAUSES = {
    "Invalid data found": "invalid_data",
    "moov atom not found": "invalid_data",
    "No space left": "disk_full",
    "No such file": "missing_file",
    "Protocol not found": "protocol_refused",
    "not on whitelist": "protocol_refused",
    "Cannot allocate memory": "out_of_memory",
    "Unknown encoder": "encoder_missing",
}


def _cause(tail: str) -> str:
    return next((cause for words, cause in _CAUSES.items() if words in tail), "unknown")


@cache
def find() -> Path:
    """The FFmpeg to run: the settings' own, else the wheel's, else the one on PATH. Raises FFmpegMissing."""
    chosen = settings().ffmpeg
    if chosen is not None:
        if chosen.is_file():
            return chosen
        raise FFmpegMissing("the FFmpeg named in the settings is not there")
    with suppress(ImportError, RuntimeError):
        import imageio_ffmpeg  # noqa: PLC0415 - the wheel has no build for some machines, which then bring their own

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    on_path = shutil.which("ffmpeg")
    if on_path is None:
        raise FFmpegMissing("install FFmpeg, or name one in the setting FFMPEG")
    return Path(on_path)


def run(
    arguments: list[str],
    *,
    timeout_s: float,
    progress: Callable[[float], None] | None = None,
    duration_s: float | None = None,
    feed: Iterable[bytes] | None = None,
) -> None:
    """Run FFmpeg to its end. Raises FFmpegFailed, and whatever `progress` or `feed` raise.

    `progress` hears the fraction of `duration_s` that is written; `feed` is what FFmpeg reads from `pipe:0`. However
    this ends, FFmpeg has ended too. An exception that another thread raises here is noticed at once, or nearly so.
    """
    command = [str(find()), "-nostdin", "-hide_banner", "-loglevel", "error", "-progress", "pipe:1", *arguments]
    with _started(command, has_input=feed is not None) as process:
        timed_out = threading.Event()
        timer = threading.Timer(timeout_s, _stop, (process, timed_out))
        complaints = _Tail(process.stderr)
        feeder = _Feeder(process.stdin, feed)
        timer.start()
        try:
            for written_s in _written_seconds(process.stdout):
                if progress and duration_s:
                    progress(max(0.0, min(1.0, written_s / duration_s)))
            returncode = process.wait()
        finally:
            timer.cancel()
            process.kill()
            feeder.join()
            complaints.join()
    feeder.raise_error()
    if returncode != 0:
        raise FFmpegFailed(returncode, complaints.text, timed_out=timed_out.is_set())


@contextmanager
def _started(command: list[str], *, has_input: bool) -> Iterator[subprocess.Popen[bytes]]:
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _stop(process: subprocess.Popen[bytes], timed_out: threading.Event) -> None:
    timed_out.set()
    process.kill()


def _written_seconds(report: IO[bytes] | None) -> Iterator[float]:
    for line in _lines(report):
        name, _, value = line.decode(errors="replace").strip().partition("=")
        if name == "out_time_us" and value.lstrip("-").isdigit():
            yield int(value) / 1_000_000


def _lines(report: IO[bytes] | None) -> Iterator[bytes]:
    """What FFmpeg writes, line by line, until it ends."""
    if report is None:
        return
    with DefaultSelector() as news:
        news.register(report, EVENT_READ)
        rest = b""
        while True:
            # Who cancels a step interrupts its thread, which notices between two instructions of Python and not while
            # it reads. And FFmpeg may say nothing for long.
            if not news.select(_LISTEN_S):
                continue
            chunk = os.read(report.fileno(), _CHUNK_BYTES)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines


class _Tail:
    """Drains stderr, so that FFmpeg never blocks on it, and keeps the last lines."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self._thread = threading.Thread(target=self._drain, args=(stream,), daemon=True)
        self._thread.start()

    def _drain(self, stream: IO[bytes] | None) -> None:
        for line in stream or ():
            self._lines.append(line.decode(errors="replace").rstrip())

    def join(self) -> None:
        self._thread.join()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


class _Feeder:
    """Writes the input from a thread of its own, since the caller's thread listens to the progress."""

    def __init__(self, stream: IO[bytes] | None, chunks: Iterable[bytes] | None) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, args=(stream, chunks or ()), daemon=True)
        self._thread.start()

    def _write(self, stream: IO[bytes] | None, chunks: Iterable[bytes]) -> None:
        if stream is None:
            return
        try:
            for chunk in chunks:
                stream.write(chunk)
        except BrokenPipeError:
            pass  # FFmpeg has stopped, and its exit code tells why.
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._error = error
        finally:
            with suppress(OSError):
                stream.close()

    def join(self) -> None:
        self._thread.join()

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error
