"""Whatever single command to MongoDB goes wrong, a film is made and paid for once, and a call is done once.

A few are drawn here. `make soak` goes through all of them: with HICCUPS=all, every command that a film or a call takes
goes wrong in every way.
"""

from __future__ import annotations

import math
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, pairwise
from pathlib import Path
from shutil import copyfile
from typing import Any

import dramatiq
import httpx
import pytest
from dramatiq.worker import _ConsumerThread, _WorkerThread
from pymongo import MongoClient

from app.client import FINAL, Client, Json, Refused
from app.stack import Servers
from broker import State, current_delivery
from broker.documents import LIVE
from studio.errors import OutcomeUnknown
from studio.ledger import Ledger
from studio.media.clips import ClipFacts
from studio.pipelines import STEPS
from studio.providers import Capability, Providers, Reading
from studio.records import Document
from studio.settings import Settings
from tests.actors.paying import Desk, PaidWriter
from tests.app.uploads import picture, put
from tests.faults.hiccups import HICCUPS, Hiccups, Plan
from tests.product import Product, new_artwork
from tests.providers.ark_simulator import ArkSimulator
from tests.waiting import eventually

SEED = 6
IS_ALL = os.environ.get("HICCUPS") == "all"
DRAWN = {"film": 16, "queue": 8, "call": 4}
"""How many are drawn of what may go wrong."""
AT_ONCE = 8
END_LIMIT_S = 120.0
LIMIT_S = 6 * 3600 if IS_ALL else 300
QUEUE, WEB = "queue", "web"
PATIENCE = 10
"""How often a call is repeated."""
Called = tuple[Callable[[], httpx.Response], Callable[[Json], None]]
CARD = """
[animator]
look_every_s = 0.05
concurrent = 100
per_minute = 60000
[animator.models.doubao-seedance-2-0-260128.micros_per_second]
"720p" = 100
[writer.models.doubao-seed-2-0-lite-260428]
micros_per_call = 10
[seer.models.doubao-seed-2-0-lite-260428]
micros_per_call = 10
"""


class Working:
    """For which job the calling thread of a worker makes a command, or whether it is the queue that does."""

    def __init__(self) -> None:
        self._last = threading.local()

    def __call__(self) -> str | None:
        match threading.current_thread():
            case _WorkerThread():
                delivery = current_delivery()
                if delivery:
                    # Its ack comes when it is current no more.
                    self._last.job = delivery.args[0] if delivery.actor_name in STEPS else None
                return getattr(self._last, "job", None)
            case _ConsumerThread() | threading.Thread(name="queue-acks"):
                return QUEUE
            case _:
                return None


@dataclass
class Studio:
    """Where films are made while commands go wrong, and where it is seen what came of each."""

    client: Client
    product: Product
    drawing: Path
    ark: ArkSimulator
    database: Any
    """By a client whose commands are nobody's."""
    hiccups: Hiccups
    _ordering: threading.Lock = field(default_factory=threading.Lock)
    """Whoever is new to the hiccups meets the plan that was made last."""

    def make(self, mark: str, plan: Plan) -> None:
        """Have a film made, with a word in its story that others do not have; all is as if nothing had gone wrong."""
        story = f"A fox flies over {mark}."
        artwork: Any = eventually(lambda: unless_away(lambda: new_artwork(self.client, self.drawing, story=story)))
        order = {"artworkId": artwork["artworkId"]}
        with self._ordering:
            before = set(self.hiccups.plans)
            self.hiccups.upcoming.append(plan)
            job: Any = eventually(lambda: unless_away(lambda: self.client.post("/generation/jobs", order)))
            job_id: str = job["jobId"]
            eventually(lambda: set(self.hiccups.plans) - before)
        job = eventually(lambda: self._ended(job_id), limit_s=END_LIMIT_S)
        assert self.hiccups.plans[job_id] is plan
        assert (job["status"], job.get("error")) == ("succeeded", None)
        chats = [request for request in list(self.ark.asked("chat")) if mark.encode() in request.body]
        assert len(chats) == 2, "each paid call was made once"
        entries = {entry["_id"]: entry["state"] for entry in self.database["ledger"].find({"job_id": job_id})}
        assert entries == {call["id"]: "settled" for call in job["submissions"]}
        assert len(entries) == 3
        shown = self.client.get(f"/artworks/{job['artwork_id']}")
        assert (shown["status"], [film["version"] for film in shown["versions"]]) == ("ready", [1])
        assert self._count("media_assets", artwork_id=job["artwork_id"], kind="video") == 1
        assert self._count("ai_analyses", _id=job["artwork_id"]) == 1
        assert self._count("queue_default", **{"msg.args": job_id, "state": State.REJECTED}) == 0
        told = [event["data"] for event in self.database["events"].find({"job_id": job_id}).sort("seq", 1)]
        states = [(event["status"], event["progress"]) for event in told]
        progress = [event["progress"] for event in told]
        assert progress == sorted(progress)
        assert len(states) == len(set(states)), "nothing is told twice"
        assert [states[0][0], states[-1][0]] == ["queued", "succeeded"]

    def check_all(self) -> None:
        """Nothing is left of all the films, each was asked for once, and the sums are right."""
        clips = self.database["ledger"].distinct("_id", {"capability": "animator"})
        calls = [
            call for job in self.database["jobs"].find() for call in job.get("submissions", []) if call["id"] in clips
        ]
        assert sorted(call["provider_id"] for call in calls) == sorted(self.ark.tasks)
        assert len(self.ark.asked("create")) == len(clips)
        import_module("actors.slots").free_slots_of_the_dead()
        for name, query in (("slots", {"is_held": True}), ("slot_waiters", {}), ("gate_places", {})):
            assert self._count(name, **query) == 0, name
        seqs = [event["seq"] for event in self.database["events"].find({}).sort([("owner", 1), ("seq", 1)])]
        assert all(after in (before + 1, 1) for before, after in pairwise(seqs)), "without gaps"
        spent = sum(entry["micros"] for entry in self.database["ledger"].find({"currency": "CNY"}))
        assert self.database["spend_counters"].find_one({"_id": "total/CNY"})["micros"] == spent

    def _ended(self, job_id: str) -> Document | None:
        job: Document = self.database["jobs"].find_one({"_id": job_id})
        is_busy = self._count("queue_default", **{"msg.args": job_id, "state": {"$in": LIVE}})
        return job if job["status"] in FINAL and not is_busy else None

    def _count(self, collection: str, **query: Any) -> int:
        found: int = self.database[collection].count_documents(query)
        return found


def unless_away(call: Callable[[], Json]) -> Json | None:
    """What a call is answered; None while the web process, which has the same client, finds no database either."""
    try:
        return call()
    except Refused as refused:
        if refused.problem["code"] != "DATABASE_UNAVAILABLE":
            raise
        return None


@pytest.fixture
def mongo(servers: Servers) -> Iterator[MongoClient[Any]]:
    """A client whose commands are nobody's."""
    with MongoClient[Any](servers.mongodb_uri) as client:
        yield client


@pytest.fixture
def desk(client: Client, product: Product, drawing: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield Desk(client, product, monkeypatch, drawing)
    product.studio.database["jobs"].delete_many({"live": True})
    product.broker.flush("default")


@pytest.fixture
def studio(desk: Desk, mongo: MongoClient[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    client, product, drawing = desk.client, desk.product, desk.drawing
    ark = ArkSimulator()
    ark.film = product.service.clip.read_bytes()
    (tmp_path / "ark.toml").write_text(CARD)
    with ExitStack() as stack:
        stack.enter_context(ark.running())
        env = {"VIDEO_PROVIDER": "ark", "LLM_PROVIDER": "ark", "PROVIDER_CARDS": str(tmp_path), **ark.env()}
        for name, value in {**env, "SPEND_CAP_TOTAL": "CNY 1000"}.items():
            monkeypatch.setenv(name, value)
        wired, settings = product.studio, Settings()
        for collection in ("ledger", "spend_counters", "slots", "slot_waiters", "gates", "gate_places"):
            wired.database[collection].delete_many({})
        wired.gates._believed.clear()
        monkeypatch.setattr(wired.gates.slots, "_made", {})
        monkeypatch.setattr(wired, "providers", Providers(settings, wired.objects))
        monkeypatch.setattr(wired, "ledger", Ledger(wired.database, settings))
        monkeypatch.setattr(wired.submissions, "_ledger", wired.ledger)
        hurry(monkeypatch)
        hiccups = Hiccups(Working())
        worker = dramatiq.Worker(product.broker, worker_threads=AT_ONCE // 2, worker_timeout=100)
        worker.start()
        stack.callback(worker.stop)
        stack.enter_context(hiccups.happening())
        yield Studio(client, product, drawing, ark, mongo[wired.settings.mongodb_db], hiccups)


def hurry(patch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a database that is there again, and what takes its time and asks nobody is left out."""
    patch.setattr("actors.waiting.SOONEST_S", 0.05)
    patch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.05)
    patch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.05)
    facts = ClipFacts("video/mp4", width=320, height=180, seconds=2.0, has_audio=True, codec="h264")
    reading = Reading(summary={}, tags=[], palette=[], regions=[], scores={}, coverage=0.0, method="unread")
    patch.setattr("studio.media.clips.inspect", lambda film, *, still: copyfile(film, still) and facts)
    patch.setattr("studio.media.telling.tell", lambda clip, _voice, _target: clip)
    patch.setattr("studio.providers.local_seer.LocalSeer.read", lambda *_arguments, **_named: reading)


def counting() -> Plan:
    return Plan(HICCUPS[0], math.inf)


def plans(counted: Plan, of: str) -> Iterator[Plan]:
    """What goes wrong of so many commands: each in every way, or a few of them."""
    chance = random.Random(SEED)  # noqa: S311 (drawn again alike, not unguessable)
    every = [Plan(hiccup, position) for hiccup in HICCUPS for position in range(1, counted.seen + 1)]
    yield from chance.sample(every, len(every) if IS_ALL else DRAWN[of])


@pytest.mark.timeout(LIMIT_S)
def test_a_film_is_made_and_paid_for_once_whichever_command_goes_wrong(studio: Studio) -> None:
    of_film, of_queue = counting(), counting()
    studio.hiccups.plans[QUEUE] = of_queue
    studio.make("meadow", of_film)
    left, queue_left, names = plans(of_film, "film"), plans(of_queue, "queue"), count()
    lock, failures = threading.Lock(), []

    def walk() -> None:
        while True:
            with lock:
                plan, name = next(left, None), f"hill{next(names):05}"
                if studio.hiccups.plans[QUEUE].met or studio.hiccups.plans[QUEUE] is of_queue:
                    studio.hiccups.plans[QUEUE] = next(queue_left, counting())
            if plan is None:
                return
            queue_plan = studio.hiccups.plans[QUEUE]
            try:
                studio.make(name, plan)
            except AssertionError as error:
                failures.append(f"{plan}; queue: {queue_plan}; {error}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(walk) for _ in range(AT_ONCE)]:
            done.result()
    assert not failures
    studio.check_all()


class Calls:
    """What may be asked of the web process: each is prepared, and made with a check of what has come of it."""

    def __init__(self, desk: Desk, database: Any) -> None:
        self._client = desk.client
        self._desk = desk
        self._database = database

    def presign(self) -> Called:
        return self._post("/upload/presign", {"type": "image", "mime": "image/png", "size": 100}), lambda _: None

    def commit(self) -> Called:
        upload = put(self._client, picture())

        def check(_answer: Json) -> None:
            assert self._count("media_assets", source=upload["key"]) == 1
            assert self._count("uploads", key=upload["key"]) == 0
            assert self._desk.product.studio.objects.head(upload["key"]) is None

        return self._post("/media/commit", upload), check

    def artwork(self) -> Called:
        cover = self._client.upload(self._desk.drawing, "image")["mediaAssetId"]

        def check(_answer: Json) -> None:
            assert self._count("artworks", cover_asset_id=cover) == 1

        return self._post("/artworks", {"title": "Fox", "coverAssetId": cover}), check

    def order(self) -> Called:
        artwork_id = new_artwork(self._client, self._desk.drawing)["artworkId"]

        def check(answer: Json) -> None:
            [job] = self._database["jobs"].find({"artwork_id": artwork_id})
            assert job["_id"] == answer["jobId"]
            self._check(job, ["queued"], messages=1)

        return self._post("/generation/jobs", {"artworkId": artwork_id}), check

    def cancel(self) -> Called:
        artwork_id = new_artwork(self._client, self._desk.drawing)["artworkId"]
        job_id = self._client.post("/generation/jobs", {"artworkId": artwork_id})["jobId"]

        def check(answer: Json) -> None:
            assert answer["status"] == "canceled"
            self._check(self._database["jobs"].find_one({"_id": job_id}), ["queued", "canceled"], messages=0)

        return self._post(f"/generation/jobs/{job_id}/cancel", {}), check

    def resolve(self) -> Called:
        steps: Any = import_module("actors.steps")
        writer = PaidWriter("openai", OutcomeUnknown())
        self._desk.artwork_id = ""
        self._desk.choose(Capability.WRITER, "LLM_PROVIDER", [writer], {"OPENAI_API_KEY": "test-key"})
        self._desk.order()
        steps.settle(self._desk.job(), self._desk.run())
        self._database["queue_default"].delete_many({})
        job_id = self._desk.job_id

        def check(answer: Json) -> None:
            assert answer["status"] == "queued"
            job = self._database["jobs"].find_one({"_id": job_id})
            self._check(job, ["queued", "running", "needs_attention", "queued"], messages=1)
            assert [call["state"] for call in job["submissions"]] == ["closed"]
            assert [entry["state"] for entry in self._database["ledger"].find({"job_id": job_id})] == ["uncertain"]

        return self._post(f"/generation/jobs/{job_id}/resolve", {"decision": "ask_again"}), check

    def _post(self, path: str, body: Json) -> Callable[[], httpx.Response]:
        return lambda: self._client._api.post(path, json=body)

    def _check(self, job: Document, told: list[str], *, messages: int) -> None:
        assert self._count("queue_default", **{"msg.args": job["_id"], "state": {"$in": LIVE}}) == messages
        events = self._database["events"].find({"job_id": job["_id"]}).sort("seq", 1)
        assert [event["data"]["status"] for event in events] == told

    def _count(self, collection: str, **query: Any) -> int:
        found: int = self._database[collection].count_documents(query)
        return found


CALLS = ("presign", "commit", "artwork", "order", "cancel", "resolve")


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_done_or_refused_and_done_once_when_repeated(name: str, desk: Desk, mongo: MongoClient[Any]) -> None:
    hiccups = Hiccups(lambda: None if threading.current_thread() is threading.main_thread() else WEB)
    calls = Calls(desk, mongo[desk.product.studio.settings.mongodb_db])
    failures = []
    with hiccups.happening():

        def make(plan: Plan) -> None:
            call, check = getattr(calls, name)()
            hiccups.plans[WEB] = plan
            answers = [call()]
            del hiccups.plans[WEB]
            while not answers[-1].is_success and len(answers) < PATIENCE:
                assert answers[-1].json()["code"] == "DATABASE_UNAVAILABLE"
                answers.append(call())
            check(answers[-1].raise_for_status().json())

        counted = counting()
        make(counted)
        for plan in plans(counted, "call"):
            try:
                make(plan)
            except (AssertionError, httpx.HTTPStatusError) as error:
                failures.append(f"{plan}: {error}")
    assert not failures
