"""`huaban demo` as a person runs it: a process of its own, the real stack, the local providers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from app.cli.demo import SAMPLES, sample, work_of
from app.stack.ports import free_port
from tests.providers.ark_simulator import ArkSimulator
from tests.providers.doubao import TEXT, DoubaoSimulator
from tests.studio import made
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
RESULTS = {"demo.mp4", "demo-analysis.png", "demo-frames.png"}
OWN = Path("my drawing.png")


class Demo:
    """A running `huaban demo`. It and everything it starts carry a mark in their environment."""

    def __init__(self, folder: Path, *options: str | Path, **settings: str) -> None:
        self.here = folder / "here"
        self.here.mkdir()
        self.output = folder / "output"
        self.mark = f"TEST_OF_DEMO={folder}"
        name, _, value = self.mark.partition("=")
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "demo", "--data", folder / "data", *options],
                cwd=self.here, stdout=output, stderr=output, env=environment() | settings | {name: value},
                start_new_session=True,
            )  # fmt: skip

    @property
    def words(self) -> str:
        return self.output.read_text()

    def running(self) -> dict[int, str]:
        """The commands that run in this demo, by their process ids."""
        processes = [path for path in Path("/proc").iterdir() if path.name.isdecimal()]
        return {int(process.name): command for process in processes if (command := self._command(process))}

    def signal(self, program: str, number: signal.Signals) -> bool:
        """Send a signal to those that run a program; whether there was one."""
        found = self._ids(program)
        for pid in found:
            os.kill(pid, number)
        return bool(found)

    def is_running(self, program: str) -> bool:
        return bool(self._ids(program))

    def _ids(self, program: str) -> list[int]:
        assert self.process.poll() is None, self.words
        return [pid for pid, command in self.running().items() if program in command]

    def _command(self, process: Path) -> str:
        try:
            marked = f"{self.mark}\0".encode() in (process / "environ").read_bytes()
            return (process / "cmdline").read_text().replace("\0", " ") if marked else ""
        except OSError:  # no process, one that has just ended, or somebody else's
            return ""


def environment() -> dict[str, str]:
    own = {"MONGODB_URI", "S3_ENDPOINT", "S3_PUBLIC_ENDPOINT", "LC_ALL", "DRAWING", "AUDIO", "STORY", "TITLE", "PORT"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return kept | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "PORT": "", "TITLE": ""}


@pytest.fixture
def run_demo(tmp_path: Path, alone: None) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def start(*options: str | Path, **settings: str) -> Demo:
        demos.append(Demo(tmp_path, *options, **settings))
        return demos[-1]

    yield start
    for demo in demos:
        demo.process.kill()
        demo.process.wait()


def test_demo_makes_a_film_of_a_drawing_and_a_typed_story(
    run_demo: Callable[..., Demo], drawing: Path, tmp_path: Path
) -> None:
    out, story = tmp_path / "results", "The sun looks at the grass."
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = run_demo("--drawing", drawing, "--story", story, "--out", out, "--port", str(port))
        assert demo.process.wait(timeout=120) == 0, demo.words
    assert {path.name for path in out.iterdir()} == RESULTS
    assert not list(demo.here.iterdir())
    assert_film(out / "demo.mp4")
    for name in ("demo-analysis.png", "demo-frames.png"):
        with Image.open(out / name) as picture:
            picture.load()
            assert picture.width >= 320
    assert f"port {port} is taken" in demo.words
    gallery, kept = demo.words.splitlines()[-2:]
    assert re.fullmatch(r"Gallery +\S+  ready  \d+\.\d s  \S+", gallery)
    assert f"make run PORT={port} HUABAN_DATA={tmp_path / 'data'}, then open http://localhost:{port}/#/client/" in kept
    assert demo.running() == {}


def test_demo_with_services_asks_each_of_them_once_and_says_who_made_the_film(
    run_demo: Callable[..., Demo], tmp_path: Path
) -> None:
    out, ark, doubao = tmp_path / "results", ArkSimulator(), DoubaoSimulator()
    ark.generation_s = 1.0
    ark.film = made.clip(tmp_path / "film.mp4", sound=False).read_bytes()
    with ark.running(), doubao.running():
        chosen = {"VIDEO_PROVIDER": "ark", "LLM_PROVIDER": "ark", "ASR_PROVIDER": "doubao"}
        demo = run_demo("--out", out, "--port", str(free_port()), **ark.env(), **doubao.env(), **chosen)
        assert demo.process.wait(timeout=120) == 0, demo.words
    assert {path.name for path in out.iterdir()} == RESULTS
    # The clip is shorter than the recording: it is shown again while the child's voice tells the story.
    assert_film(out / "demo.mp4")
    assert "made by ark · doubao-seedance" in demo.words
    counts = [len(service.asked(name)) for service, name in ((doubao, "flash"), (ark, "create"), (ark, "chat"))]
    assert counts == [1, 1, 2], "one for the story and one for the drawing"
    logs = "".join(path.read_text() for path in (tmp_path / "data" / "logs").glob("*.log"))
    assert "provider_call" in logs
    assert ark.key not in logs
    assert TEXT not in logs


def assert_film(path: Path) -> None:
    """It has both streams, and they decode from end to end."""
    with av.open(path) as film:
        assert [stream.codec_context.name for stream in film.streams] == ["h264", "aac"]
        assert film.duration is not None
        assert film.duration / av.time_base >= 5
        pictures = [frame.time or 0.0 for frame in film.decode(film.streams.video[0])]
        film.seek(0)
        sounds = [frame.time or 0.0 for frame in film.decode(film.streams.audio[0])]
    assert min(pictures[-1], sounds[-1]) >= 4.5, "the last ones begin near the end"


def test_signal_ends_the_demo_while_its_film_is_made(run_demo: Callable[..., Demo]) -> None:
    demo = run_demo("--port", str(free_port()))
    # Held up, so that whoever waits for the film waits for ever.
    eventually(lambda: demo.signal("libx264", signal.SIGSTOP), limit_s=120)
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(timeout=60) == 143, demo.words
    assert demo.running() == {}
    assert "Traceback" not in demo.words
    assert "starting it again" not in demo.words


def test_signal_ends_the_demo_while_it_starts(run_demo: Callable[..., Demo]) -> None:
    demo = run_demo("--port", str(free_port()))
    eventually(lambda: demo.is_running("--dbpath"), limit_s=120)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=60) == 130
    assert demo.running() == {}
    assert "Traceback" not in demo.words


@pytest.mark.parametrize(("language", "word"), [("en_GB.UTF-8", "no story"), ("zh_CN.UTF-8", "还没有故事")])
def test_drawing_of_ones_own_without_a_story_is_told_before_anything_starts(
    tmp_path: Path, drawing: Path, language: str, word: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo", "--data", tmp_path / "data"],
        cwd=tmp_path, env=environment() | {"DRAWING": str(drawing), "LANG": language, "STORY": "  "},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    what, mend = done.stderr.splitlines()
    assert word in what
    assert "STORY=" in mend
    assert "AUDIO=" in mend
    assert not list(tmp_path.iterdir())


def test_title_alone_goes_on_the_sample() -> None:
    work = work_of(None, None, "", "Mine")
    assert work is not None
    assert (work.title, work.story, work.audio) == ("Mine", sample().story, sample().audio)


def test_story_alone_goes_with_the_samples_drawing_and_not_with_its_recording() -> None:
    work = work_of(None, None, "A fox.", "")
    assert work is not None
    assert (work.drawing, work.audio, work.title) == (SAMPLES / "drawing.png", None, "")


def test_drawing_of_ones_own_never_gets_the_samples_story() -> None:
    assert work_of(OWN, None, "", "Mine") is None
    assert work_of(OWN, None, "A cat.", "") is not None
    assert work_of(OWN, Path("cat.ogg"), "", "") is not None
