"""Draw and speak the bundled sample: `python app/samples/make_samples.py`.

The drawing is wax crayon on paper, made of wobbly strokes that catch on the paper's grain. The story is read by
espeak-ng's Mandarin voice and raised to the pitch of a child. A seed makes every run draw the same picture.
"""

from __future__ import annotations

import ctypes
import math
import wave
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import espeakng_loader
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from studio.media import ffmpeg

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1600, 1200
TITLE = "小狐狸和红气球"
STORY = "有一天，小狐狸捡到一个红气球。它抓住气球，飞呀飞，飞过了大房子。太阳公公对它笑。小狐狸说：我要飞到月亮上去！"

Point = tuple[float, float]
Floats = npt.NDArray[np.float32]

RED, ORANGE, YELLOW = (214, 44, 52), (238, 128, 38), (250, 200, 40)
GREEN, BLUE, SKY = (66, 158, 72), (52, 96, 190), (96, 170, 226)
BROWN, PURPLE, PINK, BLACK = (134, 84, 48), (138, 84, 170), (238, 130, 160), (52, 46, 52)


class Crayons:
    """A sheet of paper and a hand that is not quite steady."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.grain = self._noise(1.0) * 0.65 + self._noise(2.6) * 0.35
        tint = np.array([252, 249, 241], np.float32)
        shade = self._noise(60.0)[..., None] * 5 + self._noise(0.8)[..., None] * 5 - 7
        self.sheet: Floats = np.clip(tint + shade, 0, 255).astype(np.float32)

    def _noise(self, radius: float) -> Floats:
        """Noise from 0 to 1 whose blotches have about this size in pixels."""
        white = Image.fromarray(self.random.integers(0, 256, (HEIGHT, WIDTH), np.uint8).astype(np.uint8))
        soft = np.asarray(white.filter(ImageFilter.GaussianBlur(radius)), np.float32)
        low, high = np.percentile(soft, [2, 98])
        return np.asarray(((soft - low) / (high - low)).clip(0, 1), np.float32)

    def rub(self, draw: Callable[[ImageDraw.ImageDraw], None], colour: tuple[int, int, int], *, press: float) -> None:
        """Put wax where `draw` draws white; the harder the press, the fewer specks of paper stay."""
        mask = Image.new("L", (WIDTH, HEIGHT), 0)
        draw(ImageDraw.Draw(mask))
        box = mask.getbbox()
        if box is None:
            return
        left, top, right, bottom = box
        part = (slice(top, bottom), slice(left, right))
        soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.9)), np.float32)[part] / 255
        wax = np.clip((soft * (0.55 + press) - self.grain[part]) * 4.0, 0, 1) * soft
        cover = (wax * (0.72 + 0.25 * press))[..., None]
        pigment = np.array(colour, np.float32) * (0.94 + 0.10 * self.grain[part][..., None])
        under = self.sheet[part]
        mixed = pigment * (0.55 + 0.45 * under / 255)
        self.sheet[part] = under * (1 - cover) + mixed * cover

    def wobbly(self, points: Sequence[Point], *, amount: float) -> list[Point]:
        """The line through these points as a child's hand would follow it."""
        line: list[Point] = []
        for (x0, y0), (x1, y1) in pairwise(points):
            steps = max(2, int(math.hypot(x1 - x0, y1 - y0) / 9))
            line += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(steps)]
        line.append(points[-1])
        drift = np.cumsum(self.random.normal(0, amount * 0.35, (len(line), 2)), axis=0)
        drift -= np.linspace(0, 1, len(line))[:, None] * drift[-1]
        shake = self.random.normal(0, amount * 0.28, (len(line), 2))
        return [(x + dx, y + dy) for (x, y), (dx, dy) in zip(line, drift + shake, strict=True)]

    def line(
        self,
        points: Sequence[Point],
        colour: tuple[int, int, int],
        *,
        width: float = 11,
        amount: float = 3,
        twice: bool = True,
    ) -> None:
        """One stroke, by default gone over a second time."""
        for _ in range(2 if twice else 1):
            path = self.wobbly(points, amount=amount)
            self.rub(partial(_stroke, path=path, width=width, random=self.random), colour, press=0.62)

    def fill(
        self,
        outline: Sequence[Point],
        colour: tuple[int, int, int],
        *,
        angle: float = 35,
        gap: float = 13,
        press: float = 0.5,
    ) -> None:
        """Hatching back and forth that does not stop quite at the outline."""
        for turn, spacing in ((angle, gap), (angle + 14, gap * 1.7)):
            for path in self._hatching(outline, turn, spacing):
                self.rub(partial(_stroke, path=path, width=gap * 1.15, random=self.random), colour, press=press)

    def _hatching(self, outline: Sequence[Point], angle: float, gap: float) -> list[list[Point]]:
        turn = math.radians(angle)
        cos, sin = math.cos(turn), math.sin(turn)
        turned = [(x * cos + y * sin, y * cos - x * sin) for x, y in outline]
        low, high = min(y for _, y in turned), max(y for _, y in turned)
        paths: list[list[Point]] = []
        current: list[Point] = []
        flip = False
        level = low + gap * 0.4
        while level < high:
            crossings = sorted(_crossings(turned, level))
            if len(crossings) >= 2:
                ends = [crossings[0] + self.random.normal(2, 4), crossings[-1] + self.random.normal(-2, 4)]
                current += [(x * cos - level * sin, x * sin + level * cos) for x in (ends[::-1] if flip else ends)]
                flip = not flip
                if len(current) >= 16:
                    paths.append(self.wobbly(current, amount=2.2))
                    current = current[-1:]
            level += gap * float(self.random.uniform(0.8, 1.2))
        if len(current) > 1:
            paths.append(self.wobbly(current, amount=2.2))
        return paths

    def picture(self) -> Image.Image:
        return Image.fromarray(self.sheet.clip(0, 255).astype(np.uint8))


def _stroke(pen: ImageDraw.ImageDraw, path: list[Point], width: float, random: np.random.Generator) -> None:
    pen.line(path, fill=235, width=max(2, round(width * 0.8)), joint="curve")
    for x, y in path[::2]:
        radius = width * float(random.uniform(0.34, 0.56))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(random.integers(190, 256)))


def _crossings(outline: list[Point], level: float) -> list[float]:
    found = []
    for (x0, y0), (x1, y1) in zip(outline, outline[1:] + outline[:1], strict=True):
        if (y0 <= level) != (y1 <= level):
            found.append(x0 + (x1 - x0) * (level - y0) / (y1 - y0))
    return found


def oval(x: float, y: float, rx: float, ry: float, *, start: float = 0, turn: float = 372) -> list[Point]:
    """Points around an oval; a child's circle overshoots its start."""
    return [
        (x + rx * math.cos(math.radians(start + turn * i / 40)), y + ry * math.sin(math.radians(start + turn * i / 40)))
        for i in range(41)
    ]


def sun(hand: Crayons) -> None:
    hand.fill(oval(215, 205, 98, 94), YELLOW, angle=20, gap=14, press=0.6)
    hand.line(oval(215, 205, 104, 100), ORANGE, width=12)
    for i in range(12):
        angle = math.radians(i * 30 + 8)
        reach = 188 if i % 2 else 170
        hand.line(
            [
                (215 + 128 * math.cos(angle), 205 + 124 * math.sin(angle)),
                (215 + reach * math.cos(angle), 205 + reach * math.sin(angle)),
            ],
            ORANGE if i % 3 else YELLOW,
            width=13,
        )
    hand.line(oval(182, 188, 4, 6), BLACK, width=12)
    hand.line(oval(250, 186, 4, 6), BLACK, width=12)
    hand.line([(170, 228), (190, 250), (217, 257), (244, 248), (262, 226)], RED, width=10)
    hand.fill(oval(160, 222, 15, 11), PINK, gap=8)
    hand.fill(oval(272, 220, 15, 11), PINK, gap=8)


def cloud(hand: Crayons, x: float, y: float, size: float) -> None:
    bumps = [(-1.5, 0.1, 0.7), (-0.6, -0.45, 0.8), (0.5, -0.4, 0.85), (1.4, 0.1, 0.7)]
    for dx, dy, radius in bumps:
        start = 130 if dx < 0 else 180
        hand.line(
            oval(x + dx * size, y + dy * size, radius * size, radius * size * 0.85, start=start, turn=190),
            SKY,
            width=11,
        )
    hand.line([(x - 2.0 * size, y + 0.55 * size), (x, y + 0.7 * size), (x + 2.0 * size, y + 0.5 * size)], SKY, width=11)
    hand.fill(
        [
            (x - 1.7 * size, y),
            (x - 0.5 * size, y - 0.7 * size),
            (x + 0.7 * size, y - 0.7 * size),
            (x + 1.7 * size, y),
            (x + 1.4 * size, y + 0.5 * size),
            (x - 1.5 * size, y + 0.5 * size),
        ],
        SKY,
        angle=-12,
        gap=19,
        press=0.22,
    )


def house(hand: Crayons) -> None:
    wall = [(150, 760), (496, 752), (502, 1070), (146, 1076)]
    hand.fill(wall, YELLOW, angle=78, gap=17, press=0.42)
    hand.line([*wall, wall[0]], BROWN, width=13)
    roof = [(96, 770), (318, 556), (556, 762)]
    hand.fill(roof, PURPLE, angle=10, gap=15, press=0.55)
    hand.line([*roof, roof[0]], PURPLE, width=14)
    hand.line([(420, 634), (420, 566), (470, 566), (470, 684)], BROWN, width=12)
    hand.line([(446, 546), (470, 520), (440, 496), (476, 470), (452, 440)], SKY, width=10)
    door = [(278, 1070), (276, 902), (378, 898), (382, 1068)]
    hand.fill(door, BROWN, angle=86, gap=13, press=0.6)
    hand.line(door, BROWN, width=12)
    hand.line(oval(360, 992, 6, 6), YELLOW, width=8)
    for left in (182, 408):
        window = [(left, 818), (left + 66, 814), (left + 68, 882), (left, 884)]
        hand.fill(window, SKY, angle=40, gap=13, press=0.45)
        hand.line([*window, window[0]], BLUE, width=9)
        hand.line([(left + 33, 816), (left + 34, 882)], BLUE, width=7)
        hand.line([(left, 850), (left + 66, 848)], BLUE, width=7)


def balloon(hand: Crayons) -> None:
    outline = [(x, y + max(0.0, (y - 330) * 0.10)) for x, y in oval(1010, 318, 158, 186)]
    hand.fill(outline, RED, angle=48, gap=15, press=0.72)
    hand.line(outline, RED, width=15)
    hand.line([(992, 518), (978, 546), (1034, 546), (1022, 518)], RED, width=12)
    hand.line([(932, 240), (918, 290), (924, 338)], (255, 236, 232), width=15)
    hand.line([(1006, 548), (1030, 596), (1024, 650), (1052, 700)], BLACK, width=6, amount=2)


def fox(hand: Crayons) -> None:
    tail = [(1008, 900), (1090, 890), (1166, 842), (1206, 770), (1180, 752), (1120, 772), (1052, 820), (1000, 850)]
    hand.fill(tail, ORANGE, angle=-40, gap=13, press=0.62)
    hand.line([*tail, tail[0]], BROWN, width=9)
    hand.line([(1150, 764), (1168, 790), (1196, 800)], BROWN, width=7)
    body = oval(950, 880, 82, 110)
    hand.fill(body, ORANGE, angle=62, gap=14, press=0.62)
    hand.line(body, BROWN, width=10)
    hand.line([(1004, 822), (1048, 770), (1054, 704)], ORANGE, width=19)
    hand.line(oval(1054, 698, 13, 12), BROWN, width=9)
    hand.line([(884, 846), (836, 878), (806, 926)], ORANGE, width=19)
    for dx, foot in ((-40, -66), (36, 22)):
        hand.line([(950 + dx, 976), (946 + dx, 1030), (940 + foot, 1040)], BROWN, width=17)
    head = [(800, 622), (846, 680), (940, 676), (988, 618), (1000, 712), (972, 776), (900, 812), (826, 782), (794, 716)]
    hand.fill(head, ORANGE, angle=28, gap=14, press=0.66)
    hand.line([*head, head[0]], BROWN, width=11)
    hand.fill([(816, 652), (842, 688), (818, 706)], PINK, gap=9)
    hand.fill([(976, 650), (948, 686), (976, 704)], PINK, gap=9)
    hand.fill([(842, 750), (900, 728), (954, 748), (900, 800)], (255, 250, 240), angle=0, gap=11, press=0.9)
    for x in (856, 938):
        hand.line(oval(x, 716, 5, 8), BLACK, width=15, amount=1)
    hand.fill(oval(899, 750, 13, 9), BLACK, gap=7, press=0.9)
    hand.line([(858, 768), (872, 786), (899, 793), (926, 785), (940, 766)], BLACK, width=7, amount=1)


def meadow(hand: Crayons) -> None:
    blades: list[Point] = []
    for x in range(18, 1590, 17):
        blades += [
            (x, 1168 + float(hand.random.normal(0, 7))),
            (x + 9, 1092 + float(hand.random.normal(0, 13))),
        ]
    for start in range(0, len(blades), 30):
        hand.line(blades[start : start + 32], GREEN, width=13, amount=2)
    hand.line([(14, 1150), (520, 1160), (1040, 1148), (1588, 1158)], GREEN, width=20)
    for x, y, colour in ((1240, 1000, PINK), (1372, 962, RED), (1490, 1004, PURPLE)):
        hand.line([(x, y + 34), (x + 5, 1110)], GREEN, width=10)
        hand.line([(x + 4, y + 82), (x + 40, y + 56)], GREEN, width=10)
        for i in range(5):
            angle = math.radians(72 * i - 18)
            petal = oval(x + 27 * math.cos(angle), y + 27 * math.sin(angle), 17, 17)
            hand.fill(petal, colour, gap=9, press=0.6)
            hand.line(petal, colour, width=7, amount=1.5, twice=False)
        hand.fill(oval(x, y, 15, 15), YELLOW, gap=8, press=0.8)


def birds(hand: Crayons) -> None:
    for x, y, size in ((620, 300, 46), (728, 236, 36)):
        hand.line(
            [
                (x - size, y - size * 0.3),
                (x - size * 0.4, y - size * 0.55),
                (x, y),
                (x + size * 0.45, y - size * 0.6),
                (x + size, y - size * 0.25),
            ],
            BLUE,
            width=10,
        )


def draw(target: Path) -> None:
    """The fox that flies over its house on a red balloon."""
    hand = Crayons(seed=20)
    sun(hand)
    cloud(hand, 1370, 250, 74)
    birds(hand)
    house(hand)
    meadow(hand)
    balloon(hand)
    fox(hand)
    # A palette keeps the grain and a third of the bytes.
    hand.picture().quantize(192, dither=Image.Dither.NONE).save(target, optimize=True)


def speak(story: str, target: Path) -> None:
    """The story as a small Opus file in a child's pitch."""
    rate, samples = _espeak(story)
    with TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        with wave.open(str(spoken), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples)
        child = (
            "silenceremove=start_periods=1:start_threshold=-50dB,"
            "rubberband=pitch=1.16:tempo=1.0:formant=shifted,highpass=f=120,lowpass=f=7500,"
            "aecho=0.9:0.5:22:0.10,loudnorm=I=-17:TP=-2,aresample=48000"
        )
        ffmpeg.run(
            ["-y", "-i", str(spoken), "-af", child, "-map_metadata", "-1", "-fflags", "+bitexact", "-c:a", "libopus",
             "-b:a", "48k", "-ac", "1", str(target)],
            timeout_s=60,
        )  # fmt: skip


def _espeak(text: str) -> tuple[int, bytes]:
    """Sample rate and 16-bit mono samples from espeak-ng."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    heard = bytearray()
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def hear(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            heard.extend(ctypes.string_at(samples, count * 2))
        return 0

    on_sound = callback(hear)
    retrieval = 1
    rate = library.espeak_Initialize(retrieval, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetSynthCallback(on_sound)
    # The plain `cmn` voice reads Hanzi as letters in some builds; this one is right in all of them.
    library.espeak_SetVoiceByName(b"cmn-latn-pinyin+f5")
    for parameter, value in ((1, 192), (3, 70), (4, 66), (7, 2)):  # rate, pitch, range, word gap
        library.espeak_SetParameter(parameter, value, 0)
    words = text.encode() + b"\0"
    utf8 = 1
    library.espeak_Synth(words, len(words), 0, 1, 0, utf8, None, None)
    library.espeak_Synchronize()
    return rate, bytes(heard)


if __name__ == "__main__":
    draw(HERE / "drawing.png")
    speak(STORY, HERE / "story.ogg")
    (HERE / "story.txt").write_text(STORY + "\n", encoding="utf-8")
    (HERE / "title.txt").write_text(TITLE + "\n", encoding="utf-8")
