"""What simulators hear and say: they listen to what they are sent, and what they send can be listened to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from studio.errors import StudioError
from studio.media.sound import SoundFacts, inspect
from tests.studio import made

LONGEST_S = 8 * 3600


def listen(content: bytes) -> SoundFacts | None:
    """What a recording is; None for anything else."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(content)
        try:
            return inspect(path, max_seconds=LONGEST_S)
        except StudioError:
            return None


@cache
def spoken(ending: str = "mp3", seconds: float = 1.5) -> bytes:
    """A tone that stands for speech."""
    with TemporaryDirectory() as folder:
        voice = made.wav(Path(folder) / "voice.wav", made.tone(seconds))
        return made.run("-i", voice, Path(folder) / f"spoken.{ending}").read_bytes()
