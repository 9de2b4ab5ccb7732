from __future__ import annotations

from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.language import Language
from studio.media import sound, speech
from studio.providers.interfaces import Made, SpeechRequest
from studio.providers.local_voice import LocalVoice
from studio.settings import Settings
from tests.studio.made import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "bucket")


def request(text: str, language: Language) -> SpeechRequest:
    return SpeechRequest(folder="somewhere/", text=text, language=language, model="", voice="")


def spoken(store: FolderStore, text: str, language: Language, target: Path) -> sound.SoundFacts:
    voice = LocalVoice(Settings(), store.as_store)
    asked = request(text, language)
    made = voice.look(voice.submit(asked, idempotency_key=target.name), asked, progress=lambda _: None)
    assert isinstance(made, Made)
    voice.fetch(made, target)
    return sound.inspect(target, max_seconds=120)


@pytest.mark.parametrize(
    ("text", "language", "length_s"),
    [
        ("有一天，小狐狸捡到一个红气球。它飞过了大房子。", "zh", (4, 9)),
        ("One day a little fox found a red balloon. It flew over the houses.", "en", (3, 7)),
        ("我有一只小狗叫 Bobby，今年3岁。", "zh", (2.5, 6)),
        ("My dog is called 小布.", "en", (1.5, 5)),
        ("[[h@l@]] <speak>--help</speak>", "en", (1, 8)),
    ],
)
def test_both_languages_are_spoken_as_long_as_people_take_for_it(
    store: FolderStore, tmp_path: Path, text: str, language: Language, length_s: tuple[float, float]
) -> None:
    facts = spoken(store, text, language, tmp_path / "voice")
    assert (facts.mime, facts.silent) == ("audio/mp4", False)
    least_s, most_s = length_s
    assert least_s < facts.seconds < most_s


def test_hanzi_are_read_as_words_and_not_as_letters(store: FolderStore, tmp_path: Path) -> None:
    few = spoken(store, "小狗", "zh", tmp_path / "few").seconds
    many = spoken(store, "小狗" * 10, "zh", tmp_path / "many").seconds
    assert few < 1.5, "read as letters they take two seconds each"
    assert many > 4 * few


def test_what_was_spoken_is_not_spoken_again(store: FolderStore, tmp_path: Path) -> None:
    first = spoken(store, "小狗", "zh", tmp_path / "voice")
    assert spoken(store, "小狗", "zh", tmp_path / "voice") == first
    assert store.uploads == 1


def test_what_nobody_can_say_is_silent(store: FolderStore, tmp_path: Path) -> None:
    assert spoken(store, "…", "zh", tmp_path / "voice").silent


def test_what_is_forgotten_is_gone(store: FolderStore, tmp_path: Path) -> None:
    voice = LocalVoice(Settings(), store.as_store)
    asked = request("小狗", "zh")
    made = voice.look("local-one", asked, progress=lambda _: None)
    assert isinstance(made, Made)
    voice.forget(made)
    with pytest.raises(StudioError) as caught:
        voice.fetch(made, tmp_path / "voice")
    assert caught.value.symbol == "CLIP_GONE"


@pytest.mark.parametrize("library", ["libnobody-has-this.so", "/dev/null"])
def test_a_machine_that_cannot_speak_says_so(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setattr(speech, "_espeak", lambda: (library, ""))
    with pytest.raises(StudioError) as caught:
        spoken(store, "小狗", "zh", tmp_path / "voice")
    assert caught.value.symbol == "RENDER_FAILED"
