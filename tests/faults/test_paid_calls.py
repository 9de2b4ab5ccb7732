"""Whenever a worker dies around the submission of a film, the film is asked for once, and the books say so."""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo.read_concern import ReadConcern

from app.client import FINAL, Client
from studio.submissions import SubmissionState
from tests.faults.test_kill import running
from tests.product import Product, new_artwork
from tests.providers.choosing import filming
from tests.providers.simulator import Simulator, Task
from tests.providers.simulators import ANIMATORS
from tests.waiting import eventually

SEED = 5
EVENTS = ("asked", "intended", "sent", "answered")
POINTS_PER_EVENT = 5
# By a lookup, or by an id of ours that counts once, what became of a lost answer can be known.
KNOW = {"ark", "kling", "kling-legacy", "node"}
CARD = "unknown_for_s = 1.0\ntimeout_s = 3.0\nlook_every_s = 0.1\nlimit_s = 120.0\nper_minute = 60000\n"
END_LIMIT_S = 240


@dataclass(frozen=True)
class Film:
    """One that was ordered."""

    provider: str
    artwork_id: str
    job_id: str
    mark: str
    """A word of its story, and so of its prompt, that the others do not have."""
    die_after: str


@dataclass
class Studio:
    """Where the films are made: the product, its workers that die, and the services."""

    client: Client
    product: Product
    drawing: Path
    fates: Path
    simulators: dict[str, Simulator]

    def order(self, provider: str, mark: str, fate: str = "") -> Film:
        """Order a film; `fate` is where its worker will die."""
        # A drawing of its own: two artworks of the same media are one.
        artwork_id = new_artwork(self.client, self.drawing, story=f"A fox flies over {mark}.")["artworkId"]
        if fate:
            (self.fates / artwork_id).write_text(fate)
        job = self.client.post("/generation/jobs", {"artworkId": artwork_id, "provider": provider})
        return Film(provider, artwork_id, job["jobId"], mark, fate.partition(" ")[0])

    def order_all(self, wanted: list[tuple[str, str, str]]) -> list[Film]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda one: self.order(*one), wanted))

    def jobs(self, films: list[Film]) -> dict[str, dict[str, Any]]:
        """The stored jobs as they are at one moment, each with the entries of the books; by id."""
        database = self.product.studio.database
        ids = [film.job_id for film in films]
        with (
            self.product.studio.client.start_session() as session,
            session.start_transaction(read_concern=ReadConcern("snapshot")),
        ):
            jobs = database["jobs"].find({"_id": {"$in": ids}}, {"submissions.request": 0}, session=session)
            found = {job["_id"]: {**job, "entries": {}} for job in jobs}
            for entry in database["ledger"].find({"job_id": {"$in": ids}}, session=session):
                found[entry["job_id"]]["entries"][entry["_id"]] = entry["state"]
        return found

    def wait_for(self, films: list[Film]) -> dict[str, dict[str, Any]]:
        """The jobs once all have ended. All the while the books agree with them."""

        def ended() -> dict[str, dict[str, Any]]:
            jobs = self.jobs(films)
            for job in jobs.values():
                assert_books_agree(job)
            return jobs if all(job["status"] in FINAL for job in jobs.values()) else {}

        return eventually(ended, limit_s=END_LIMIT_S)

    def tasks_of(self, film: Film) -> list[Task]:
        """What the service has accepted for a film."""
        return [
            task for task in list(self.simulators[film.provider].tasks.values()) if film.mark in json.dumps(task.asked)
        ]

    def decide(self, films: list[Film]) -> dict[Film, str]:
        """Decide how those go on of which nobody can know, in every way that there is; how, by film."""
        decided: dict[Film, str] = {}
        for found, ways in ((True, ("accepted", "ask_again", "give_up")), (False, ("ask_again", "give_up"))):
            turns = itertools.cycle(ways)
            decided |= {film: next(turns) for film in films if bool(self.tasks_of(film)) is found}
        for film, decision in decided.items():
            told = {"knownAs": self.tasks_of(film)[0].id} if decision == "accepted" else {}
            self.client.post(f"/generation/jobs/{film.job_id}/resolve", {"decision": decision, **told})
        assert set(decided.values()) == {"accepted", "ask_again", "give_up"}
        return decided

    def measured(self) -> dict[str, Counter[str]]:
        """How many calls of functions a submission takes at least after each event, by provider."""
        films = self.order_all([(name, f"lake{n}", "") for n in range(2) for name in ANIMATORS])
        self.wait_for(films)
        least: dict[str, Counter[str]] = {}
        for film in films:
            calls = Counter(json.loads((self.fates / f"{film.artwork_id}.took").read_text()))
            least[film.provider] = least[film.provider] & calls if film.provider in least else calls
        return least


def assert_books_agree(job: dict[str, Any]) -> None:
    """There is one entry for each call that may be charged, and it says of it what the job says."""
    submissions = [one for one in job.get("submissions", []) if not one["is_free"]]
    assert job["entries"] == {one["id"]: expected_entry(one, job["status"]) for one in submissions}


def expected_entry(submission: dict[str, Any], status: str) -> str:
    match submission["state"]:
        case SubmissionState.SENDING:
            return "uncertain" if status == "needs_attention" else "reserved"
        case SubmissionState.UNSENT:
            return "reserved"
        case SubmissionState.ACCEPTED:
            return "settled" if submission.get("clip") else "accepted"
        case _:
            return "uncertain"


@pytest.fixture
def studio(
    client: Client, product: Product, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    fates = tmp_path / "fates"
    fates.mkdir()
    with filming(product, monkeypatch, tmp_path, dict.fromkeys(ANIMATORS, CARD)) as simulators:
        ours = {name: value for name, value in product.env.items() if name != "VIDEO_PROVIDER"}
        command = [sys.executable, "-m", "tests.faults.deadly_payer"]
        with running(command, {**ours, "FATES": str(fates)}, tmp_path / "worker.log"):
            yield Studio(client, product, drawing, fates, simulators)


def points(calls: Counter[str], chance: random.Random) -> Iterator[str]:
    """Where workers die: after each event at points that are drawn from the whole way to the next one."""
    for event in EVENTS:
        for part in range(POINTS_PER_EVENT):
            share = (part + chance.random()) / POINTS_PER_EVENT
            yield f"{event} {1 + int(share * calls[event])}"


# Longer than other tests may take: a hundred and twenty workers die, and as many films are made.
@pytest.mark.timeout(600)
def test_a_film_is_paid_for_once_wherever_its_worker_is_killed(studio: Studio) -> None:
    calls, chance = studio.measured(), random.Random(SEED)  # noqa: S311 (drawn again alike, not unguessable)
    wanted = [(name, fate) for name in ANIMATORS for fate in points(calls[name], chance)]
    films = studio.order_all([(name, f"hill{n:03}", fate) for n, (name, fate) in enumerate(wanted)])
    jobs = studio.wait_for(films)
    deaths = sorted(path.stem for path in studio.fates.glob("*.died"))
    assert deaths == sorted(film.artwork_id for film in films), "each film was died for"
    tasks = {film.job_id: len(studio.tasks_of(film)) for film in films}
    outcomes = {film: (jobs[film.job_id]["status"], tasks[film.job_id]) for film in films}
    known = {outcome for film, outcome in outcomes.items() if film.provider in KNOW}
    assert known == {("succeeded", 1)}, "accepted once, and found where the answer was lost"
    unknown = {outcome for film, outcome in outcomes.items() if film.provider not in KNOW}
    assert unknown == {("succeeded", 1), ("needs_attention", 1), ("needs_attention", 0)}, "never sent blindly again"
    for film in films:
        if film.provider not in KNOW and film.die_after in ("intended", "sent"):
            assert outcomes[film][0] == "needs_attention", "an intent without an answer"
    decided = studio.decide([film for film in films if outcomes[film][0] == "needs_attention"])
    ended = studio.wait_for(list(decided))
    for film, decision in decided.items():
        assert ended[film.job_id]["status"] == ("canceled" if decision == "give_up" else "succeeded")
        assert len(studio.tasks_of(film)) == tasks[film.job_id] + (decision == "ask_again")
