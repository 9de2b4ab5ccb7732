from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from studio.errors import StudioError
from studio.language import Language
from studio.providers.interfaces import Made, PaintingRequest
from studio.providers.local_painter import LocalPainter
from studio.settings import Settings
from tests.studio.made import FolderStore

PROMPTS: dict[Language, str] = {
    "zh": "小狐狸捡到一个红气球，气球带着它飞过大房子。",
    "en": "A little fox finds a red balloon, and the balloon carries it over the big house.",
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "bucket")


@pytest.fixture
def painter(store: FolderStore) -> LocalPainter:
    return LocalPainter(Settings(), store.as_store)


def asked(language: Language, *, size: str = "640x480", prompt: str | None = None) -> PaintingRequest:
    return PaintingRequest(
        folder="board/", prompt=prompt or PROMPTS[language], language=language, model="local", size=size
    )


def painted(painter: LocalPainter, request: PaintingRequest, target: Path, *, key: str = "k1") -> Image.Image:
    made = painter.look(painter.submit(request, idempotency_key=key), request, progress=lambda _: None)
    assert isinstance(made, Made)
    painter.fetch(made, target)
    return Image.open(target)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_same_words_give_the_same_card(painter: LocalPainter, tmp_path: Path, language: Language) -> None:
    request = asked(language)
    with painted(painter, request, tmp_path / "a.png") as first:
        assert first.size == (640, 480)
        with painted(painter, request, tmp_path / "b.png", key="k2") as second:
            assert first.tobytes() == second.tobytes()
    with painted(painter, asked(language, prompt="fox"), tmp_path / "c.png", key="k3") as other:
        assert first.tobytes() != other.tobytes()


def test_a_card_is_drawn_once_per_id(painter: LocalPainter, store: FolderStore, tmp_path: Path) -> None:
    request = asked("zh")
    painted(painter, request, tmp_path / "a.png").close()
    painted(painter, request, tmp_path / "a.png").close()
    assert store.uploads == 1
    assert painter.reconcile(request, idempotency_key="k1", age_s=0.0) == "local-k1"


@pytest.mark.parametrize("prompt", ["", "🦊", "word " * 300, "字" * 500, "w" * 300])
@pytest.mark.parametrize("size", ["256x256", "1920x400", "99999x1", "whatever"])
def test_any_words_fit_on_any_card(painter: LocalPainter, tmp_path: Path, prompt: str, size: str) -> None:
    request = asked("en", size=size, prompt=prompt or " ")
    painted(painter, request, tmp_path / "a.png").close()


def test_a_card_that_was_forgotten_is_gone(painter: LocalPainter, tmp_path: Path) -> None:
    request = asked("en")
    painted(painter, request, tmp_path / "a.png").close()
    painter.forget(Made("board/local-k1.png"))
    with pytest.raises(StudioError) as caught:
        painter.fetch(Made("board/local-k1.png"), tmp_path / "a.png")
    assert caught.value.symbol == "CLIP_GONE"
