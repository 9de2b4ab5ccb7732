from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from studio.errors import NotNow, StudioError
from studio.media import clips
from studio.providers import AnimationRequest, Made, local_animator
from studio.providers.local_animator import LocalAnimator
from studio.settings import Settings
from tests.studio import made
from tests.studio.made import FolderStore
from tests.studio.providers.asking import outcome


def nothing(_fraction: float) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "bucket")
    store.put("drawing.png", made.drawing(tmp_path / "drawing.png", (120, 90)))
    return store


@pytest.fixture
def animator(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> LocalAnimator:
    monkeypatch.setattr("studio.media.stage.LANDSCAPE", (320, 180))
    return LocalAnimator(Settings(), store.as_store)


REQUEST = AnimationRequest(
    drawing_key="drawing.png",
    voice_key=None,
    folder="render/v1/",
    title="小狐狸",
    prompt="flying, drifting gently",
    language="zh",
)


def test_the_id_follows_from_the_key_alone(animator: LocalAnimator, store: FolderStore) -> None:
    assert animator.submit(REQUEST, idempotency_key="k1") == "local-k1"
    assert animator.reconcile(REQUEST, idempotency_key="k1", age_s=1.0) == "local-k1"
    assert store.uploads == 0


def test_looking_twice_renders_once(animator: LocalAnimator, store: FolderStore, tmp_path: Path) -> None:
    heard: list[float] = []
    clip = animator.look("local-k1", REQUEST, progress=heard.append)
    assert clip == Made("render/v1/local-k1.mp4")
    assert heard[-1] == pytest.approx(1.0, abs=0.05)
    again = animator.look("local-k1", REQUEST, progress=heard.append)
    assert (again, store.uploads) == (clip, 1)

    animator.fetch(Made("render/v1/local-k1.mp4"), tmp_path / "film.mp4")
    assert clips.inspect(tmp_path / "film.mp4").has_audio


def test_a_film_waits_for_a_seat_without_using_up_its_time(
    animator: LocalAnimator, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import BoundedSemaphore

    taken = BoundedSemaphore(1)
    taken.acquire()
    monkeypatch.setattr(local_animator, "_seats", taken)
    with pytest.raises(NotNow) as busy:
        animator.look("local-k1", REQUEST, progress=nothing)
    assert busy.value.retry_after_s == 2.0
    assert store.uploads == 0


@pytest.mark.parametrize("broken", ["drawing", "voice", "missing"])
def test_what_cannot_be_rendered_fails_and_gives_its_seat_back(
    animator: LocalAnimator, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    from threading import BoundedSemaphore

    seats = BoundedSemaphore(1)
    monkeypatch.setattr(local_animator, "_seats", seats)
    (tmp_path / "private-words.bin").write_bytes(b"nonsense")
    store.put("broken.bin", tmp_path / "private-words.bin")
    changed = {
        "drawing": {"drawing_key": "broken.bin"},
        "voice": {"voice_key": "broken.bin"},
        "missing": {"drawing_key": "none"},
    }
    with capture_logs() as logs, pytest.raises(StudioError) as caught:
        animator.look("local-k1", msgspec.structs.replace(REQUEST, **changed[broken]), progress=nothing)
    assert caught.value.symbol == "RENDER_FAILED"
    assert seats.acquire(blocking=False)
    assert str(tmp_path) not in str(logs)
    assert "小狐狸" not in str(logs)


def test_a_failing_ffmpeg_is_a_failed_render(animator: LocalAnimator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.media.film._output", lambda _seconds: ["-c:v", "no-such-encoder", "-f", "mp4"])
    with capture_logs() as logs, pytest.raises(StudioError) as caught:
        animator.look("local-k1", REQUEST, progress=nothing)
    assert caught.value.symbol == "RENDER_FAILED"
    assert logs[0]["cause"] == "encoder_missing"


def test_a_clip_that_is_gone_cannot_be_fetched(animator: LocalAnimator, tmp_path: Path) -> None:
    assert outcome(lambda: animator.fetch(Made("render/v1/none.mp4"), tmp_path / "film.mp4")) == "CLIP_GONE"


def test_a_clip_that_is_too_large_is_not_fetched(animator: LocalAnimator, store: FolderStore, tmp_path: Path) -> None:
    clip = animator.look("local-k1", REQUEST, progress=nothing)
    assert isinstance(clip, Made)
    strict = LocalAnimator(Settings().model_copy(update={"video_max_bytes": 100}), store.as_store)
    assert outcome(lambda: strict.fetch(clip, tmp_path / "film.mp4")) == "CLIP_UNREADABLE"


def test_what_is_forgotten_is_gone_and_may_have_been_gone_before(animator: LocalAnimator, store: FolderStore) -> None:
    clip = animator.look("local-k1", REQUEST, progress=nothing)
    assert isinstance(clip, Made)
    animator.forget(clip)
    animator.forget(clip)
    assert store.head(clip.location) is None
