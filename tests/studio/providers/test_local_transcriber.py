from __future__ import annotations

from pathlib import Path

from studio.providers.interfaces import Heard
from studio.providers.local_transcriber import LocalTranscriber
from studio.settings import Settings
from tests.studio.made import FolderStore


def test_it_admits_that_it_cannot_tell_the_words(tmp_path: Path) -> None:
    transcriber = LocalTranscriber(Settings(), FolderStore(tmp_path).as_store)
    assert transcriber.transcribe(tmp_path / "story.webm") == Heard(None)
