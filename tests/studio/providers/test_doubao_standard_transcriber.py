from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import samples
from studio.providers.doubao_standard_transcriber import DoubaoStandardTranscriber
from studio.providers.interfaces import Heard, PaidCall, Pending
from tests.providers.doubao import TEXT, DoubaoSimulator, told
from tests.providers.simulator import Fault
from tests.studio.made import FolderStore
from tests.studio.providers.asking import outcome, settings_for

STORY = Path(samples.__file__).parent / "story.ogg"
BUCKET = "https://media.example.com"
LATER = Pending(look_again_s=2.0)


@pytest.fixture
def doubao() -> Iterator[DoubaoSimulator]:
    simulator = DoubaoSimulator()
    with simulator.running():
        yield simulator


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def transcriber(doubao: DoubaoSimulator, store: FolderStore) -> DoubaoStandardTranscriber:
    return DoubaoStandardTranscriber(settings_for(doubao, s3_public_endpoint=BUCKET), store.as_store)


def hear(transcriber: DoubaoStandardTranscriber, call: PaidCall | None = None) -> object:
    """What comes of a call that is the same each time."""
    return outcome(lambda: transcriber.transcribe(STORY, call=call or PaidCall("call-1")))


def lent(store: FolderStore) -> list[str]:
    return [path.name for path in store.folder.glob("lent/*")]


def test_the_words_come_later_and_the_copy_goes(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, store: FolderStore
) -> None:
    doubao.generation_s = 3600
    assert hear(transcriber) == LATER
    assert hear(transcriber) == LATER
    (task,) = doubao.tasks.values()
    assert lent(store) == [f"{task.id}.mp3"]
    assert f"/lent/{task.id}.mp3?" in task.asked["audio"]["url"]
    task.ready_at = 0
    assert hear(transcriber) == Heard(TEXT)
    assert lent(store) == []
    assert len(doubao.asked("submit")) == 1


def test_what_it_heard_is_charged_by_the_hour(doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber) -> None:
    call = PaidCall("call-1")
    hear(transcriber, call)
    assert call.micros is None, "nothing was heard yet"
    assert hear(transcriber, call) == Heard(TEXT)
    assert call.micros == 556, "2.499 seconds at 0.80 an hour"


@pytest.mark.parametrize(
    ("fault", "came_of_it", "tasks"),
    [
        (Fault.SLOW, LATER, 1),
        (Fault.BUSY, "not now", 0),
        (Fault.BUSY_WITH_RETRY_AFTER, "not now", 0),
        (Fault.BROKEN, "unknown", 0),
        (Fault.GATEWAY, "unknown", 0),
        (Fault.DROPPED, "unknown", 1),
        (Fault.LOST, "unknown", 0),
        (Fault.MALFORMED, "unknown", 1),
        (Fault.UNAUTHORIZED, "PROVIDER_ACCOUNT", 0),
        (Fault.NO_MODEL, "MODEL_UNKNOWN", 0),
    ],
)
def test_whatever_comes_of_a_submission_the_same_call_again_brings_the_words_of_one_task(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, fault: Fault, came_of_it: object, tasks: int
) -> None:
    doubao.fail("submit", fault)
    assert hear(transcriber) == came_of_it
    assert len(doubao.tasks) == tasks
    again = hear(transcriber)
    assert (Heard(TEXT) if again == LATER else again) == Heard(TEXT)
    assert hear(transcriber) in (Heard(TEXT), LATER)
    assert len(doubao.tasks) == 1


@pytest.mark.parametrize(
    ("fault", "came_of_it"),
    [
        (Fault.SLOW, Heard(TEXT)),
        (Fault.BUSY, LATER),
        (Fault.BUSY_WITH_RETRY_AFTER, Pending(look_again_s=1.0)),
        (Fault.BROKEN, LATER),
        (Fault.GATEWAY, LATER),
        (Fault.DROPPED, LATER),
        (Fault.LOST, LATER),
        (Fault.MALFORMED, LATER),
        (Fault.TRUNCATED, LATER),
        (Fault.UNAUTHORIZED, "unknown"),
        (Fault.NO_MODEL, "unknown"),
    ],
)
def test_a_question_without_an_answer_never_says_that_nothing_was_accepted(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, fault: Fault, came_of_it: object
) -> None:
    assert hear(transcriber) == LATER
    doubao.fail("query", fault)
    assert hear(transcriber) == came_of_it
    assert hear(transcriber) in (Heard(TEXT), LATER)
    assert len(doubao.tasks) == 1


def test_a_task_that_is_there_already_is_not_bought_again(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, store: FolderStore
) -> None:
    hear(transcriber)
    for name in lent(store):
        store.delete(f"lent/{name}")
    assert hear(transcriber) == Heard(TEXT), "the worker died between taking back the copy and storing the words"
    assert len(doubao.asked("submit")) == 2
    assert len(doubao.tasks) == 1


def test_a_submission_that_makes_no_sense_is_refused_and_its_copy_goes(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DoubaoSimulator, "_invalid_body", lambda *_: told("45000001", "invalid parameter"))
    assert hear(transcriber) == "PROVIDER_REFUSED"
    assert lent(store) == []


def test_a_recording_that_it_cannot_read_is_told(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber
) -> None:
    doubao.fail("submit", Fault.FAILED)
    hear(transcriber)
    assert hear(transcriber) == "AUDIO_UNREADABLE"


def test_silence_has_no_words(
    doubao: DoubaoSimulator, transcriber: DoubaoStandardTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear(transcriber)
    monkeypatch.setattr(DoubaoSimulator, "_words", lambda *_: told("20000003", "silent audio"))
    assert hear(transcriber) == Heard("")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://media.example.com",
        "http://127.0.0.1:9000",
        "https://127.0.0.1:9000",
        "https://10.0.0.3",
        "https://[::1]:9000",
        "https://localhost:9000",
        "https://minio",
        "https://minio.local",
        "",
    ],
)
def test_a_bucket_that_the_service_cannot_reach_is_told_at_the_start(
    doubao: DoubaoSimulator, store: FolderStore, endpoint: str
) -> None:
    with pytest.raises(ValueError, match="needs a S3_PUBLIC_ENDPOINT that is https and public"):
        DoubaoStandardTranscriber(settings_for(doubao, s3_public_endpoint=endpoint), store.as_store)
