"""A program of its own: reads a text from its input and writes it, spoken by espeak-ng, into a WAV file.

    python espeak.py LIBRARY DATA VOICE TARGET

The library keeps its state in globals, so that one process can speak one text at a time. And it is written in C, is
given the words of children, and has a licence (GPL-3) that ours is kept apart from. It imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import sys
import wave

SYNCHRONOUS, NO_EXIT, UTF8 = 2, 0x8000, 1
RATE = 1
WORDS_PER_MINUTE = 160
"""Slower than it likes to speak: children listen."""


def main(library_path: str, data: str, voice: str, target: str) -> int:
    espeak = ctypes.CDLL(library_path)
    rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, data.encode() or None, NO_EXIT)
    if rate <= 0 or espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        return 1
    espeak.espeak_SetParameter(RATE, WORDS_PER_MINUTE, 0)
    text = sys.stdin.buffer.read().replace(b"\0", b" ") + b"\0"
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)

        def hear(samples: int | None, count: int, _events: int | None) -> int:
            if samples and count > 0:
                file.writeframesraw(ctypes.string_at(samples, count * 2))
            return 0

        # In a variable of its own, because the library holds no reference to it.
        on_sound = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(hear)
        espeak.espeak_SetSynthCallback(on_sound)
        return int(espeak.espeak_Synth(text, ctypes.c_size_t(len(text)), 0, 0, 0, UTF8, None, None))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
