"""Steps of a job that are run by hand, with providers that say what a test wants: what is asked and paid is seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.client import Client, Json
from broker import run_in_transaction
from studio.jobs import Job
from studio.ledger import Ledger
from studio.providers import AnimationRequest, Capability, PaidCall, Pending, Providers, Words
from studio.settings import Settings
from tests.product import Product, new_artwork
from tests.waiting import eventually

T = TypeVar("T")

PRICE = 500
"""In micros: what an answer costs at most, by the cards."""
WORDS = Words(narration="A fox flies.", prompt="A fox, flying.", language="en", method="fake")


class Died(BaseException):
    """Where the worker died. It is handled by nobody, as a kill is."""


@dataclass
class Said:
    """What a provider says, and what it reports that this has cost."""

    what: Words | Pending | Exception
    micros: int | None = None


class PaidWriter:
    """Says what it was told to, one thing after the other."""

    is_free = False

    def __init__(self, name: str, *said: Said | Words | Pending | Exception, repeats_safely: bool = False) -> None:
        self.name = name
        self.repeats_safely = repeats_safely
        self.will_say = deque(one if isinstance(one, Said) else Said(one) for one in said)
        self.keys: list[str] = []
        """Of the calls that were made."""
        self.stories: list[str | None] = []

    def refine(self, story: str | None, *, call: PaidCall, **_told: object) -> Words | Pending:
        self.keys.append(call.key)
        self.stories.append(story)
        said = self.will_say.popleft()
        if said.micros is not None:
            call.charge(said.micros)
        if isinstance(said.what, Exception):
            raise said.what
        return said.what


class PaidAnimator:
    """Takes clips, or does what it was told to instead; it knows of a call whose answer was lost what it is told."""

    is_free = False
    limit_s = 60.0

    def __init__(self, name: str, *does: str | Exception, knows: tuple[str | Exception | None, ...] = ()) -> None:
        self.name = name
        self.will_do = deque(does)
        self.knows = deque(knows)
        self.keys: list[str] = []
        """Of the calls that were made."""

    def estimate(self, _request: AnimationRequest) -> int:
        return PRICE

    def submit(self, _request: AnimationRequest, *, idempotency_key: str) -> str:
        self.keys.append(idempotency_key)
        return _said(self.will_do.popleft())

    def reconcile(self, _request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        assert idempotency_key in self.keys, "nothing else is looked up"
        assert age_s >= 0
        return _said(self.knows.popleft())

    def recognises(self, provider_id: str, _request: AnimationRequest, *, idempotency_key: str) -> bool:
        return provider_id == f"task-{idempotency_key}"


def _said(what: T | Exception) -> T:
    if isinstance(what, Exception):
        raise what
    return what


@dataclass
class Entry:
    """A call as the job tells of it, and as the books do."""

    provider: str
    state: str
    refusal: str | None
    booked: str
    micros: int


@dataclass
class Desk:
    """A product whose providers a test chooses, and one job in it that no worker knows of."""

    client: Client
    product: Product
    patch: pytest.MonkeyPatch
    drawing: Path
    job_id: str = ""
    artwork_id: str = ""

    def choose(self, capability: Capability, setting: str, chosen: Sequence[Any], env: Mapping[str, str]) -> None:
        """Let these providers, the preferred one first, be asked; a name alone is of one that is real."""
        names = [one if isinstance(one, str) else one.name for one in chosen]
        for name, value in {setting: ",".join(names), **env}.items():
            self.patch.setenv(name, value)
        providers = Providers(Settings(), self.product.studio.objects)
        for one in chosen:
            if not isinstance(one, str):
                providers._made[capability, one.name] = one
        self.patch.setattr(self.product.studio, "providers", providers)
        self.calm()

    def set(self, **changed: Any) -> None:
        """Change settings."""
        settings = self.product.studio.settings.model_copy(update=changed)
        self.patch.setattr(self.product.studio, "settings", settings)
        self.patch.setattr(self.product.studio.submissions, "_ledger", Ledger(self.product.studio.database, settings))

    def calm(self) -> None:
        """Let the gates forget who was busy."""
        for places in ("gates", "gate_places"):
            self.product.studio.database[places].delete_many({})
        self.product.studio.gates._believed.clear()

    def order(self, **wanted: str) -> None:
        self.artwork_id = self.artwork_id or new_artwork(self.client, self.drawing)["artworkId"]
        order = {"artworkId": self.artwork_id, **wanted}
        self.job_id = self.client.post("/generation/jobs", order)["jobId"]

    def tell(self, story: str) -> None:
        """Change the story."""
        self.client._api.patch(f"/artworks/{self.artwork_id}", json={"description": story}).raise_for_status()

    def job(self) -> Job:
        job = self.product.studio.jobs.load(self.job_id)
        assert job is not None
        return job

    def run(self) -> Any:
        """Run the job's step once, and settle nothing: its outcome. Raises what is worth another run."""
        from actors import steps

        self.calm()
        job = steps.begin(self.job_id, self.job().step)
        assert job is not None
        module: Any = import_module(f"actors.{job.step}")
        work: Callable[[Job], Any] = getattr(module, job.step).fn.__wrapped__
        return steps.outcome_of(work, job)

    def end(self) -> Json:
        """The job once it has ended, where a worker runs."""
        return eventually(lambda: (view := self.view())["finishedAt"] and view)

    def view(self) -> Json:
        return self.client.get(f"/generation/jobs/{self.job_id}")

    def settle(self, outcome: Any) -> None:
        """Store what a step has come to."""
        run_in_transaction(self.product.studio.client, outcome.save)

    def calls(self) -> list[Entry]:
        """The calls of the job, the oldest first."""
        database = self.product.studio.database
        found = {entry["_id"]: entry for entry in database["ledger"].find({"job_id": self.job_id})}
        entries = [
            Entry(one.provider, one.state, one.refusal, found[one.id]["state"], found[one.id]["micros"])
            for one in self.job().submissions
        ]
        assert len(found) == len(entries), "there is one entry for each call"
        return entries
