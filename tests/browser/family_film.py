"""A drawing becomes a film on the page, and a film in doubt is decided about there: all that a parent sees of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import app
from studio.errors import REGISTRY
from studio.language import Language
from tests.browser.chromium import Chromium, chromium
from tests.product import Product
from tests.providers.choosing import filming
from tests.providers.simulator import Fault, Simulator, Task
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("worker")

LOCALES: dict[Language, str] = {"en": "en", "zh": "zh-CN"}
PAGE = json.loads((Path(app.__file__).parent / "page" / "words.json").read_text(encoding="utf-8"))
STORIES = {"en": ("The sun", "The sun is red and the grass is green."), "zh": ("太阳", "太阳红红的，草地绿绿的。")}
SHOTS = Path(__file__).parents[2] / "build" / "browser"
STEPS = ("refine_text", "submit_video", "poll_video", "capture_video", "analyze")


@dataclass
class Family:
    """Somebody who opens the page for the first time, and the one service that makes their films."""

    browser: Chromium
    service: Simulator
    language: Language
    drawing: Path
    shots: str
    """What the pictures of this visit are called."""

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.browser.shoot(SHOTS / f"{self.shots}-{name}.png")

    def say(self, key: str, **values: str) -> str:
        """What the page says for this."""
        return str(PAGE[self.language][key]).format(**values)

    @property
    def name(self) -> str:
        """Of the work."""
        return STORIES[self.language][0]

    def tell(self) -> None:
        """Choose the drawing, write the story, and ask for the film."""
        self.browser.sees(self.say("emptyTitle"), self.say("empty"), self.say("new"))
        self.browser.click(self.say("new"), within="main")
        self.browser.choose(self.say("choosePicture"), self.drawing)
        self.browser.type(self.say("typed"), STORIES[self.language][1])
        self.browser.type(self.say("title"), self.name)
        self.shoot("1-told")
        self.browser.click(self.say("make"))

    def steps(self) -> list[str]:
        """How far the film is, as its list tells."""
        lines = "return [...document.querySelectorAll('.steps li')].map((row) => row.lastChild.textContent)"
        return list(self.browser.run(lines))

    def task(self) -> Task:
        """What was asked of the service, once."""
        (task,) = eventually(lambda: list(self.service.tasks.values()))
        return task

    def sees_film(self, maker: str) -> None:
        """It is there by itself, says who made it, and can be played."""
        self.browser.sees(self.say("aiMark") + " " + self.say("madeBy", maker=maker))
        self.browser.sees(self.name)
        eventually(lambda: self.browser.run("return document.querySelector('video').duration") == 2.0)
        assert not self.browser.text(".problem, .steps"), "nothing is under way or wrong any more"


Visit = Callable[..., AbstractContextManager[Family]]


@pytest.fixture
def visit(web: str, product: Product, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    @contextmanager
    def arrive(language: Language, provider: str, shots: str, *faults: Fault) -> Iterator[Family]:
        product.service.forget()
        cards = {provider: "look_every_s = 0.2\n"}
        with (
            filming(product, monkeypatch, tmp_path, cards) as simulators,
            chromium(LOCALES[language], tmp_path / "profile") as browser,
        ):
            simulators[provider].fail("create", *faults)
            browser.open(web)
            family = Family(browser, simulators[provider], language, drawing, f"{shots}-{language}")
            yield family
            assert browser.faults() == []

    return arrive


@pytest.mark.parametrize("language", LOCALES)
def test_a_drawing_and_a_story_become_a_film(language: Language, visit: Visit) -> None:
    with visit(language, "ark", "film", Fault.NEVER) as family:
        browser, say = family.browser, family.say
        family.tell()
        browser.sees(say("making"))
        done, running, waiting = (say(f"state.{state}") for state in ("done", "running", "waiting"))
        eventually(lambda: family.steps() == [done, done, running, waiting, waiting])
        browser.sees(*(line for step, state in zip(STEPS, family.steps(), strict=True)
                       for line in (say(f"step.{step}"), state)))  # fmt: skip
        browser.sees(say("makingHint"), say("cancelFilm"))
        family.shoot("2-making")

        family.task().fault = None
        family.sees_film("ark · doubao-seedance-2-0-260128")
        family.shoot("3-film")

        browser.click(say("name"))
        browser.sees(say("gallery"))
        family.shoot("4-gallery")
        browser.click_work(family.name)
        family.sees_film("ark · doubao-seedance-2-0-260128")
        assert len(family.service.asked("create")) == 1


@pytest.mark.parametrize("language", LOCALES)
@pytest.mark.parametrize("decision", ["askAgain", "takeIt", "giveUp"])
def test_a_film_in_doubt_is_decided_about(decision: str, language: Language, visit: Visit) -> None:
    with visit(language, "runway", decision, Fault.DROPPED) as family:
        browser, say = family.browser, family.say
        family.tell()
        unknown = REGISTRY["OUTCOME_UNKNOWN"]
        browser.sees(
            unknown.message.in_(language),
            unknown.next_step.in_(language),
            say("doubt"),
            say("askAgain"),
            say("giveUp"),
            say("doubtHint"),
            say("wasMade"),
            selector=".problem",
        )
        family.shoot("2-doubt")
        if decision == "takeIt":
            browser.click(say("wasMade"))
            browser.type(say("knownAs"), family.task().id)
            family.shoot("3-found")
        browser.click(say(decision))
        if decision == "giveUp":
            browser.sees(say("makeFirst"))
            assert not browser.text(".problem, .steps")
        else:
            family.sees_film("runway · gen4.5")
        family.shoot("4-decided")
        assert len(family.service.asked("create")) == (2 if decision == "askAgain" else 1)
