from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dramatiq.middleware.threading import raise_thread_exception

from broker import Canceled
from studio.media import ffmpeg

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-f", "null", "-"]


def test_a_failure_keeps_what_ffmpeg_said_out_of_its_message(tmp_path: Path) -> None:
    private = tmp_path / "a-private-name.wav"
    private.write_bytes(b"nonsense")
    with pytest.raises(ffmpeg.FFmpegFailed) as caught:
        ffmpeg.run(["-i", str(private), "-f", "null", "-"], timeout_s=10)
    assert caught.value.returncode != 0
    assert caught.value.cause == "invalid_data"
    assert "a-private-name" in caught.value.tail
    assert "a-private-name" not in str(caught.value)


def test_running_out_of_time_kills_ffmpeg() -> None:
    with pytest.raises(ffmpeg.FFmpegFailed) as caught:
        ffmpeg.run(ENDLESS, timeout_s=0.5)
    assert caught.value.timed_out
    assert caught.value.cause == "timeout"


def test_progress_rises_to_the_whole(tmp_path: Path) -> None:
    heard: list[float] = []
    source = ["-f", "lavfi", "-i", "sine=duration=2"]
    ffmpeg.run([*source, str(tmp_path / "tone.wav")], timeout_s=10, progress=heard.append, duration_s=2)
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1.0, abs=0.05)


def test_an_error_in_progress_stops_ffmpeg_and_comes_through() -> None:
    class Canceled(Exception):
        pass

    def progress(_fraction: float) -> None:
        raise Canceled

    with pytest.raises(Canceled):
        ffmpeg.run(ENDLESS, timeout_s=30, progress=progress, duration_s=10)


def test_an_interrupt_stops_an_ffmpeg_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    ended: list[tuple[type[BaseException], int | None, float]] = []
    is_started = threading.Event()
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        is_started.set()
        return started[0]

    def render() -> None:
        try:
            ffmpeg.run(["-stats_period", "60", *ENDLESS], timeout_s=60)
        except Canceled as error:
            ended.append((type(error), started[0].poll(), time.monotonic()))

    ffmpeg.find()  # which may run what it finds
    monkeypatch.setattr(subprocess, "Popen", start)
    thread = threading.Thread(target=render)
    thread.start()
    assert is_started.wait(60)
    assert thread.ident
    # Its first line comes at once; from then on it is silent.
    raised_at = time.monotonic() + 0.5
    thread.join(0.5)
    raise_thread_exception(thread.ident, Canceled)
    thread.join()
    ((error, returncode, at),) = ended
    assert (error, returncode) == (Canceled, -signal.SIGKILL)
    assert at - raised_at < 1


def test_an_error_in_the_feed_comes_through(tmp_path: Path) -> None:
    def frames() -> Iterator[bytes]:
        yield bytes(64 * 48 * 3)
        raise LookupError

    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-i", "pipe:0"]
    with pytest.raises(LookupError):
        ffmpeg.run([*raw, str(tmp_path / "film.mp4")], timeout_s=10, feed=frames())


def test_an_input_cannot_reach_the_network(tmp_path: Path) -> None:
    playlist = tmp_path / "list.txt"
    playlist.write_text("ffconcat version 1.0\nfile http://127.0.0.1:9/story.mp3\n")
    with pytest.raises(ffmpeg.FFmpegFailed) as caught:
        ffmpeg.run(
            [*ffmpeg.UNTRUSTED, "-f", "concat", "-safe", "0", "-i", str(playlist), "-f", "null", "-"], timeout_s=10
        )
    assert caught.value.cause == "protocol_refused"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_ffmpeg_dies_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path.cwd())!r})\n"
        "from studio.media import ffmpeg\n"
        "start = ffmpeg.subprocess.Popen\n"
        "def noting(*arguments, **options):\n"
        "    process = start(*arguments, **options)\n"
        f"    open({str(pid_file)!r}, 'w').write(str(process.pid))\n"
        "    return process\n"
        "ffmpeg.subprocess.Popen = noting\n"
        f"ffmpeg.run({ENDLESS!r}, timeout_s=60, progress=lambda _: print('running', flush=True), duration_s=60)\n"
    )
    with subprocess.Popen([sys.executable, str(worker)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        watch = os.pidfd_open(int(pid_file.read_text()))
        process.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([watch], [], [], 10)
    os.close(watch)
    assert ended
