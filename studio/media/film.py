"""The moving picture: a title card, a camera over the drawing, figures that stir, and the child's own voice."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studio.media import camera, ffmpeg, images, melody, palette, paper, sound, stage, titles
from studio.media.sound import SoundFacts
from studio.providers.interfaces import Progress
from studio.scratch import scratch_folder

FRAMES_PER_SECOND = 25
TITLE_S = 1.8
"""The voice starts here."""
_TITLE_FADE_S = 0.55
TAIL_S = 1.0
SHORTEST_S = 5.0
_STIR_S = 1.2
"""How long figures take to come to life, and to come to rest at the end."""
_COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"
    "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
)
COMMENT = f"{titles.MARK} (HuaBan)"
"""In the container's metadata, beside the mark in the picture."""


@dataclass(frozen=True, slots=True)
class Limits:
    max_pixels: int
    max_seconds: float


def make(
    drawing: Path, voice: Path | None, target: Path, *, title: str, airborne: bool, limits: Limits, progress: Progress
) -> None:
    """Write the film as MP4. The same inputs make the same bytes.

    Raises FFmpegFailed, and StudioError for a drawing or a voice that cannot be read.
    """
    facts = sound.inspect(voice, max_seconds=limits.max_seconds) if voice is not None else None
    if facts is None or facts.silent:
        voice, facts = None, None
    seconds = length(facts.seconds if facts else 0.0)
    with images.upright(drawing, at_least=2 * stage.LONG_SIDE, max_pixels=limits.max_pixels) as picture:
        reel = _Reel(picture, title, seconds, airborne=airborne)
    with scratch_folder() as folder:
        music = folder / "music.wav"
        (melody.chime if voice else melody.tune)(music, seconds=seconds)
        ffmpeg.run(
            [*_video_input(reel.size), *_audio(voice, facts, music), *_output(seconds), "-y", str(target)],
            timeout_s=60 + 20 * seconds,
            progress=progress,
            duration_s=seconds,
            feed=reel.frames(),
        )


def length(voice_s: float) -> float:
    """Seconds of the film for a voice of this length, in whole frames."""
    seconds = max(SHORTEST_S, TITLE_S + voice_s + TAIL_S)
    return round(seconds * FRAMES_PER_SECOND) / FRAMES_PER_SECOND


class _Reel:
    """Every frame of the film, made in parallel and handed out in order."""

    def __init__(self, drawing: Image.Image, title: str, seconds: float, *, airborne: bool) -> None:
        drawing.thumbnail((2 * stage.LONG_SIDE, 2 * stage.LONG_SIDE), Image.Resampling.LANCZOS)
        drawing = paper.tidied(drawing)
        self._stage = stage.set_up(drawing, airborne=airborne)
        self.size = self._stage.frame
        self._seconds = seconds
        self._shots = camera.plan(self._stage.scene, start=TITLE_S - _TITLE_FADE_S, end=seconds)
        large = (round(self.size[0] * 1.1), round(self.size[1] * 1.1))
        self._card = titles.card(large, drawing, title, palette.accents(drawing))
        self._mark, self._mark_at = titles.mark(self.size)

    def frames(self) -> Iterator[bytes]:
        """Raw RGB, frame by frame."""
        waiting: deque[Future[bytes]] = deque()
        workers = os.cpu_count() or 1
        # Only a few frames are made ahead: each is megabytes, and FFmpeg takes them at its own pace.
        with ThreadPoolExecutor(workers, thread_name_prefix="frame") as pool:
            for number in range(round(self._seconds * FRAMES_PER_SECOND)):
                waiting.append(pool.submit(self._frame, number / FRAMES_PER_SECOND))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _frame(self, time: float) -> bytes:
        picture = self._title_and_story(time)
        picture.paste(self._mark, self._mark_at, self._mark)
        return picture.tobytes()

    def _title_and_story(self, time: float) -> Image.Image:
        faded = (time - (TITLE_S - _TITLE_FADE_S)) / _TITLE_FADE_S
        if faded <= 0:
            return self._title(time)
        story = self._story(time)
        return story if faded >= 1 else Image.blend(self._title(time), story, _smooth(faded))

    def _title(self, time: float) -> Image.Image:
        """The card, coming a little closer."""
        inset = 0.045 * time / TITLE_S
        width, height = self._card.size
        box = (width * inset, height * inset, width * (1 - inset), height * (1 - inset))
        return self._card.resize(self.size, Image.Resampling.BICUBIC, box=box)

    def _story(self, time: float) -> Image.Image:
        current = max(i for i, shot in enumerate(self._shots) if shot.start <= time + 1e-9)
        picture = self._shot(current, time)
        overlap = time - self._shots[current].start
        if current == 0 or overlap >= camera.CROSSFADE_S:
            return picture
        return Image.blend(self._shot(current - 1, time), picture, _smooth(overlap / camera.CROSSFADE_S))

    def _shot(self, index: int, time: float) -> Image.Image:
        alive = min((time - TITLE_S + _TITLE_FADE_S) / _STIR_S, (self._seconds - time) / _STIR_S)
        return self._stage.picture(self._shots[index].at(time), time, liveliness=_smooth(alive))


def _smooth(done: float) -> float:
    done = min(1.0, max(0.0, done))
    return done * done * (3 - 2 * done)


def _video_input(size: tuple[int, int]) -> list[str]:
    return [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{size[0]}x{size[1]}",
        "-r",
        str(FRAMES_PER_SECOND),
        "-i",
        "pipe:0",
    ]


def _audio(voice: Path | None, facts: SoundFacts | None, music: Path) -> list[str]:
    tone = [*ffmpeg.UNTRUSTED, "-f", "wav", "-i", str(music)]
    stereo = "aresample=48000,aformat=sample_fmts=fltp:channel_layouts=stereo"
    if voice is None or facts is None:
        return [*tone, "-filter_complex", f"[1:a]{stereo}[sound]", "-map", "0:v", "-map", "[sound]"]
    delay = round(TITLE_S * 1000)
    graph = (
        f"[1:a]{stereo},highpass=f=60,loudnorm=I=-17:TP=-2:LRA=9,{stereo},adelay={delay}:all=1,apad[voice];"
        f"[2:a]{stereo}[music];[voice][music]amix=inputs=2:normalize=0:duration=shortest,asetpts=N/SR/TB[sound]"
    )
    spoken = [*ffmpeg.UNTRUSTED, "-f", facts.demuxer, "-i", str(voice)]
    return [*spoken, *tone, "-filter_complex", graph, "-map", "0:v", "-map", "[sound]"]


def _output(seconds: float) -> list[str]:
    return [
        "-t", f"{seconds:.3f}",
        "-vf", _COLOURS,
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-profile:v", "high", "-g", "50",
        "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2",
        "-map_metadata", "-1", "-map_chapters", "-1", "-metadata", f"comment={COMMENT}",
        "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact",
        "-movflags", "+faststart", "-f", "mp4",
    ]  # fmt: skip
