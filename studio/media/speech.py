"""Speaking without any service: espeak-ng, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from studio.language import Language

SPEAK_S = 60.0
"""How long a text may take; an hour of speech takes less."""

# The plain `cmn` reads Hanzi as letters in some builds; this one is right in all of them.
_VOICES: dict[Language, str] = {"zh": "cmn-latn-pinyin", "en": "en"}
_PROGRAM = Path(__file__).with_name("espeak.py")


class SpeakingFailed(Exception):
    """espeak-ng is not there, stopped with an error, or ran out of time. `cause` is a word that may be logged."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"espeak-ng: {cause}")
        self.cause = cause


def speak(text: str, target: Path, *, language: Language) -> None:
    """Write a WAV file of a text, in a voice of its language; that of Mandarin reads English, too.

    Raises SpeakingFailed.
    """
    library, data = _espeak()
    command = [sys.executable, "-I", "-S", str(_PROGRAM), library, data, _VOICES[language], str(target)]
    try:
        subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=SPEAK_S)
    except subprocess.TimeoutExpired as error:
        raise SpeakingFailed("timeout") from error
    except subprocess.CalledProcessError as error:
        raise SpeakingFailed("missing" if b"OSError" in error.stderr else "failed") from error


def _espeak() -> tuple[str, str]:
    """The library and its data: those of the wheel, else the system's own, which knows its data itself."""
    try:
        import espeakng_loader  # noqa: PLC0415 - the wheel has no build for some machines
    except ImportError:
        return "libespeak-ng.so.1", ""
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
