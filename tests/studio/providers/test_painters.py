"""What the paid painters must show alike, each against its service over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from PIL import Image
from structlog.testing import capture_logs

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.objects import ObjectStore, StoreUnavailable
from studio.providers import cards
from studio.providers.interfaces import Capability, Made, Painter, PaintingRequest
from studio.providers.openai_painter import OpenAIPainter
from studio.providers.seedream_painter import SeedreamPainter
from studio.providers.wan_painter import WanPainter
from studio.providers.z_image_painter import ZImagePainter
from studio.settings import Settings
from tests.providers.ark_images import ArkImages
from tests.providers.dashscope_images import DashScopeImages
from tests.providers.openai_images import OpenAIImages
from tests.providers.pictures import Paints
from tests.providers.simulator import Fault
from tests.studio.made import FolderStore
from tests.studio.providers.hostile import WORDS, changed, is_clean, text_at

KEY = "5f0c"
FOLDER = "works/w1/paintings/"


@dataclass(frozen=True)
class Case:
    """A painter, its service, and the operation by which it buys."""

    make: Callable[[Settings, ObjectStore], Painter]
    service: type[Paints]
    model: str
    size: str
    buys: str = "paint"


CASES = {
    "z-image": Case(ZImagePainter, DashScopeImages, "z-image-turbo", "1024x1024"),
    "wan": Case(WanPainter, DashScopeImages, "wan2.6-t2i", "1280x1280", "paint_later"),
    "wan-older": Case(WanPainter, DashScopeImages, "wan2.2-t2i-flash", "1024x1024", "paint_later"),
    "seedream": Case(SeedreamPainter, ArkImages, "doubao-seedream-5-0-260128", "2048x2048"),
    "openai": Case(OpenAIPainter, OpenAIImages, "gpt-image-2.6-flare", "1024x1024"),
}
AT_ONCE = ["z-image", "seedream", "openai"]
TASKS = ["wan", "wan-older"]


class Stage:
    """A painter in front of its service."""

    def __init__(self, case: Case, simulator: Paints, store: FolderStore) -> None:
        self.case = case
        self.simulator = simulator
        self.store = store
        self.settings = Settings()
        self.painter = case.make(self.settings, store.as_store)
        self.request = PaintingRequest(
            folder=FOLDER, prompt="一只红色的小狐狸", language="zh", model=case.model, size=case.size
        )

    def submit(self) -> str:
        return self.painter.submit(self.request, idempotency_key=KEY)

    def look(self, provider_id: str) -> object:
        return self.painter.look(provider_id, self.request, progress=lambda _: None)

    def made(self) -> Made:
        found = self.look(self.submit())
        assert isinstance(found, Made)
        return found

    @property
    def bought(self) -> int:
        """How many pictures were accepted."""
        return len(self.simulator.tasks)


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    case = CASES[request.param]
    simulator = case.service()
    with simulator.running():
        for name, value in simulator.env().items():
            monkeypatch.setenv(name, value)
        yield Stage(case, simulator, FolderStore(tmp_path / "bucket"))


each = pytest.mark.parametrize("stage", CASES, indirect=True)
each_at_once = pytest.mark.parametrize("stage", AT_ONCE, indirect=True)
each_task = pytest.mark.parametrize("stage", TASKS, indirect=True)


def refused(symbol: str) -> tuple[type[Exception], str]:
    return StudioError, symbol


@each
def test_a_picture_of_the_size_that_was_asked_for_comes_home(stage: Stage, tmp_path: Path) -> None:
    made = stage.made()
    stage.painter.fetch(made, tmp_path / "picture")
    with Image.open(tmp_path / "picture") as picture:
        assert f"{picture.width}x{picture.height}" == stage.case.size
    stage.painter.forget(made)
    stage.painter.forget(made)
    assert not [path for path in (tmp_path / "bucket").rglob("*") if path.is_file()]


@each
@pytest.mark.parametrize(
    ("fault", "error", "symbol"),
    [
        (Fault.BUSY, NotNow, None),
        (Fault.BUSY_WITH_RETRY_AFTER, NotNow, None),
        (Fault.BROKEN, OutcomeUnknown, None),
        (Fault.REJECTED, *refused("CONTENT_REJECTED")),
        (Fault.UNAUTHORIZED, *refused("PROVIDER_ACCOUNT")),
        (Fault.SPENT, *refused("PROVIDER_QUOTA")),
        (Fault.NO_MODEL, *refused("MODEL_UNKNOWN")),
        (Fault.GATEWAY, OutcomeUnknown, None),
        (Fault.DROPPED, OutcomeUnknown, None),
        (Fault.LOST, OutcomeUnknown, None),
        (Fault.MALFORMED, OutcomeUnknown, None),
        (Fault.TRUNCATED, OutcomeUnknown, None),
    ],
)
def test_each_fault_of_a_purchase_is_told_for_what_it_is(
    stage: Stage, fault: Fault, error: type[Exception], symbol: str | None
) -> None:
    stage.simulator.fail(stage.case.buys, fault)
    with pytest.raises(error) as caught:
        stage.submit()
    assert type(caught.value) is error
    assert getattr(caught.value, "symbol", None) == symbol
    assert getattr(caught.value, "retry_after_s", None) == (1.0 if fault is Fault.BUSY_WITH_RETRY_AFTER else None)
    assert len(stage.simulator.asked(stage.case.buys)) == 1, "nothing is sent twice"


@each
def test_a_slow_answer_is_an_answer(stage: Stage) -> None:
    stage.simulator.slow_s = 0.1
    stage.simulator.fail(stage.case.buys, Fault.SLOW)
    assert stage.made()


@each
def test_a_service_that_cannot_be_reached_has_accepted_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in stage.simulator.env():
        if name.endswith("_BASE_URL"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
    painter = stage.case.make(Settings(), stage.store.as_store)
    with pytest.raises(Away):
        painter.submit(stage.request, idempotency_key=KEY)


@each
@pytest.mark.parametrize(("fault", "symbol"), [(Fault.REJECTED_LATER, "CONTENT_REJECTED"), (Fault.FAILED, None)])
def test_what_fails_in_the_making_is_told_for_what_it_is(stage: Stage, fault: Fault, symbol: str | None) -> None:
    if stage.case.service is OpenAIImages:
        pytest.skip("it has no such answer: what it accepts, it paints")
    stage.simulator.fail(stage.case.buys, fault)
    with pytest.raises((StudioError, OutcomeUnknown)) as caught:
        stage.made()
    if symbol is None and isinstance(caught.value, StudioError):
        symbol = "RENDER_FAILED"
    assert getattr(caught.value, "symbol", None) == symbol


@each
def test_what_is_no_picture_is_not_brought_home(stage: Stage, tmp_path: Path) -> None:
    stage.simulator.picture = b"\x89PNG\r\n\x1a\nnonsense"
    made = stage.made()
    with pytest.raises(StudioError) as caught:
        stage.painter.fetch(made, tmp_path / "picture")
    assert caught.value.symbol == "CLIP_UNREADABLE"


@pytest.mark.parametrize("stage", ["z-image", *TASKS], indirect=True)
@pytest.mark.parametrize(
    ("fault", "error", "symbol"),
    [
        (Fault.EXPIRED, *refused("CLIP_GONE")),
        (Fault.TRUNCATED, Away, None),
        (Fault.LOST, Away, None),
        (Fault.GATEWAY, Away, None),
    ],
)
def test_each_fault_of_a_download_is_told_for_what_it_is(
    stage: Stage, tmp_path: Path, fault: Fault, error: type[Exception], symbol: str | None
) -> None:
    made = stage.made()
    stage.simulator.fail("picture", fault)
    with pytest.raises(error) as caught:
        stage.painter.fetch(made, tmp_path / "picture")
    assert getattr(caught.value, "symbol", None) == symbol
    if fault is not Fault.EXPIRED:
        stage.painter.fetch(made, tmp_path / "picture")
    assert stage.bought == 1, "a picture that is paid for is fetched again, not bought again"


@each_at_once
def test_the_same_key_buys_once(stage: Stage) -> None:
    first = stage.submit()
    assert stage.submit() == first
    assert stage.painter.reconcile(stage.request, idempotency_key=KEY, age_s=0.0) == first
    assert stage.bought == 1


@each_at_once
def test_a_lost_answer_stays_unknown_as_soon_as_it_cannot_come_any_more(stage: Stage) -> None:
    stage.simulator.fail("paint", Fault.DROPPED)
    with pytest.raises(OutcomeUnknown):
        stage.submit()
    longest_s = cards.load(stage.painter.name, stage.settings).offer(Capability.PAINTER).unknown_for_s
    with pytest.raises(NotNow) as caught:
        stage.painter.reconcile(stage.request, idempotency_key=KEY, age_s=longest_s - 3.0)
    assert caught.value.retry_after_s == 3.0
    with pytest.raises(OutcomeUnknown):
        stage.painter.reconcile(stage.request, idempotency_key=KEY, age_s=longest_s)


@each_at_once
def test_a_picture_that_cannot_be_kept_is_not_bought(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("away")

    monkeypatch.setattr(stage.store, "upload", away)
    with pytest.raises(OutcomeUnknown):
        stage.submit()
    assert stage.bought == 1, "this one was accepted before the bucket went away"
    monkeypatch.setattr(stage.store, "head", away)
    with pytest.raises(StoreUnavailable):
        stage.submit()
    assert stage.bought == 1


@each_task
def test_a_task_is_pending_until_it_is_finished(stage: Stage) -> None:
    stage.simulator.fail("paint_later", Fault.NEVER)
    task_id = stage.submit()
    assert not isinstance(stage.look(task_id), Made)
    stage.simulator.tasks[task_id].fault = None
    assert isinstance(stage.look(task_id), Made)


@each_task
@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.BROKEN, Fault.GATEWAY, Fault.DROPPED, Fault.MALFORMED])
def test_a_look_that_fails_is_repeated(stage: Stage, fault: Fault) -> None:
    task_id = stage.submit()
    stage.simulator.fail("task", fault)
    with pytest.raises(NotNow):
        stage.look(task_id)
    assert isinstance(stage.look(task_id), Made)


@each_task
def test_only_a_task_that_has_not_begun_can_be_stopped(stage: Stage) -> None:
    stage.simulator.generation_s = 3600.0
    waiting = stage.submit()
    stage.painter.cancel(waiting)
    assert stage.simulator.tasks[waiting].is_canceled
    with pytest.raises(StudioError) as caught:
        stage.look(waiting)
    assert caught.value.symbol == "RENDER_FAILED"
    stage.simulator.fail("paint_later", Fault.NEVER)
    begun = stage.submit()
    stage.painter.cancel(begun)
    stage.painter.cancel("unknown")
    assert not stage.simulator.tasks[begun].is_canceled


@each_task
def test_a_lost_task_cannot_be_looked_up(stage: Stage) -> None:
    with pytest.raises(OutcomeUnknown):
        stage.painter.reconcile(stage.request, idempotency_key=KEY, age_s=3600.0)


@each
def test_every_size_of_every_model_is_one_that_the_service_takes(stage: Stage) -> None:
    offer = cards.load(stage.painter.name, stage.settings).painter
    assert offer
    assert offer.model in offer.models
    for model, facts in offer.models.items():
        for number, size in enumerate(facts.sizes):
            request = PaintingRequest(folder=FOLDER, prompt="fox", language="en", model=model, size=size, seed=7)
            stage.painter.submit(request, idempotency_key=f"{model}-{number}")


@each
@pytest.mark.parametrize(
    "words", [*WORDS.values(), "fox --ratio 16:9 " + "runs and jumps " * 4000], ids=[*WORDS, "more"]
)
def test_whatever_is_said_changes_the_prompt_and_nothing_else(stage: Stage, words: str) -> None:
    for number, prompt in enumerate(("A sun rises.", words)):
        stage.painter.submit(msgspec.structs.replace(stage.request, prompt=prompt), idempotency_key=f"{KEY}{number}")
    harmless, order = stage.simulator.asked(stage.case.buys)
    (where,) = changed(harmless, order)
    assert where.rpartition(".")[2] in {"prompt", "text"}
    told = text_at(order, where)
    assert is_clean(told)
    offer = cards.load(stage.painter.name, stage.settings).painter
    assert offer
    assert len(told.encode("utf-16-le")) / 2 <= offer.models[stage.case.model].prompt_max_chars


@each
def test_the_logs_hold_neither_words_nor_keys_nor_addresses(stage: Stage, tmp_path: Path) -> None:
    with capture_logs() as logs:
        stage.painter.fetch(stage.made(), tmp_path / "picture")
    for secret in ("狐狸", stage.simulator.key, KEY, "Signature", "http"):
        assert secret not in str(logs)


@each
def test_an_unknown_model_is_told_before_anything_is_sent(stage: Stage) -> None:
    request = PaintingRequest(folder=FOLDER, prompt="fox", language="en", model="none", size=stage.case.size)
    for call in (
        lambda: stage.painter.estimate(request),
        lambda: stage.painter.submit(request, idempotency_key=KEY),
    ):
        with pytest.raises(StudioError) as caught:
            call()
        assert caught.value.symbol == "MODEL_UNKNOWN"
    assert not stage.simulator.requests


@each
@pytest.mark.parametrize("size", ["9999x9999", "1025x1024", "large"])
def test_a_size_that_is_not_offered_is_refused_before_anything_is_sent(stage: Stage, size: str) -> None:
    request = msgspec.structs.replace(stage.request, size=size)
    with pytest.raises(StudioError) as caught:
        stage.painter.submit(request, idempotency_key=KEY)
    assert caught.value.symbol == "CLIP_NOT_OFFERED"
    assert not stage.simulator.requests


@pytest.mark.parametrize("stage", ["openai"], indirect=True)
@pytest.mark.parametrize(("size", "nearest"), [("1500x1000", "1536x1024"), ("900x1600", "1024x1536")])
def test_the_nearest_size_comes_first(stage: Stage, size: str, nearest: str) -> None:
    with pytest.raises(StudioError) as caught:
        stage.painter.submit(msgspec.structs.replace(stage.request, size=size), idempotency_key=KEY)
    assert str(caught.value.params["nearest"]).split(", ")[0] == nearest


@pytest.mark.parametrize(("stage", "micros"), [("z-image", 14_340), ("wan", None)], indirect=["stage"])
def test_the_price_is_the_cards(stage: Stage, micros: int | None) -> None:
    assert stage.painter.estimate(stage.request) == micros
