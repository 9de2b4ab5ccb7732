"""A music box, for the title card and for drawings that nobody has spoken about. Always the same, always quiet."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 48_000

Wave = npt.NDArray[np.float64]

_BEAT_S = 0.42
_PENTATONIC = (523.25, 587.33, 659.25, 783.99, 880.00, 1046.50)
_TUNE = (0, 2, 3, 5, 3, 2, 4, -1, 2, 3, 4, 3, 2, 0, 1, -1, 0, 2, 3, 4, 5, 4, 3, -1, 2, 1, 2, 3, 1, 0, 0, -1)
_CHIME = (2, 3, 5)
_PAD = ((261.63, 329.63, 392.00), (220.00, 261.63, 329.63), (174.61, 220.00, 261.63), (196.00, 246.94, 293.66))


def chime(path: Path, *, seconds: float) -> None:
    """Three notes that open the film, then silence."""
    sound = np.zeros(round(seconds * RATE))
    for i, note in enumerate(_CHIME):
        _add(sound, _pluck(_PENTATONIC[note]), at_s=0.15 + i * 0.3)
    _save(path, sound * 0.10)


def tune(path: Path, *, seconds: float) -> None:
    """A slow tune over a soft pad, fading in and out."""
    sound = np.zeros(round(seconds * RATE))
    for i in range(int(seconds / _BEAT_S)):
        note = _TUNE[i % len(_TUNE)]
        if note >= 0:
            _add(sound, _pluck(_PENTATONIC[note]), at_s=0.2 + i * _BEAT_S)
    bar_s = 8 * _BEAT_S
    for i in range(int(seconds / bar_s) + 1):
        _add(sound, _pad(_PAD[i % len(_PAD)], bar_s + 0.6), at_s=i * bar_s)
    _save(path, sound * _fade(len(sound)) * 0.10)


def _pluck(hertz: float) -> Wave:
    """One tine of a music box: a few partials, the higher the shorter."""
    t = np.arange(round(1.6 * RATE)) / RATE
    partials = ((1.0, 1.0, 3.2), (2.0, 0.35, 5.0), (3.01, 0.14, 8.0), (5.4, 0.05, 16.0))
    tone = sum(level * np.sin(2 * np.pi * hertz * ratio * t) * np.exp(-decay * t) for ratio, level, decay in partials)
    attack = np.minimum(1.0, t / 0.004)
    return np.asarray(tone * attack)


def _pad(chord: tuple[float, ...], seconds: float) -> Wave:
    t = np.arange(round(seconds * RATE)) / RATE
    swell = np.sin(np.pi * np.minimum(1.0, t / seconds)) ** 0.7
    tone = sum(np.sin(2 * np.pi * hertz * t) + 0.2 * np.sin(4 * np.pi * hertz * t) for hertz in chord)
    return np.asarray(0.11 * tone * swell)


def _add(sound: Wave, note: Wave, *, at_s: float) -> None:
    start = round(at_s * RATE)
    length = max(0, min(len(note), len(sound) - start))
    sound[start : start + length] += note[:length]


def _fade(samples: int) -> Wave:
    t = np.arange(samples) / RATE
    return np.asarray(np.minimum(1.0, np.minimum(t / 0.8, (samples / RATE - t) / 1.2).clip(0)))


def _save(path: Path, sound: Wave) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
