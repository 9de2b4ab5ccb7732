"""The nemesis: faults of every kind, in a seeded order, at points of progress, while messages are sent and run."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from broker import documents
from tests.faults import ledger
from tests.faults.checker import Verdict, check
from tests.faults.crew import Command, Crew
from tests.faults.evidence import Completion, Document, History, Stored
from tests.faults.history import Reader, Scribe, process_name, read
from tests.faults.replica_set import ReplicaSet, change_streams, cut, failing, times_failed
from tests.faults.senders import Errand, Senders, errands

APP = "nemesis"
"""The app name of the clients that meet fail points: the workers', their guardians' and the senders'."""
DATABASE = "nemesis"
MAX_CRASHES = 3
_DEADLY = re.compile(r'Consumer encountered an unexpected error|guardian\.py", line \d+, in <module>')
PASSING_CODES = {"ShutdownInProgress": 91, "PrimarySteppedDown": 189, "InterruptedDueToReplStateChange": 11600}


@dataclass(frozen=True)
class Campaign:
    """What a run is made of. The same seed sends the same errands and meets the same faults in the same order."""

    seed: int
    messages: int
    faults: int
    lease_s: float = 2.0
    commands: int = 3
    threads: int = 3
    settle_s: float = 90.0
    """How long the queue may take to come to rest after the last fault."""

    @property
    def deadly(self) -> int:
        """How many messages of each deadly kind there are."""
        return min(20, max(2, self.messages // 2500))


@dataclass(frozen=True)
class Report:
    campaign: Campaign
    verdicts: list[Verdict]
    history: History
    faults: list[str]
    took_s: float

    @property
    def is_clean(self) -> bool:
        return all(verdict.is_kept for verdict in self.verdicts)


def run(campaign: Campaign, folder: Path) -> Report:
    """Run a campaign. The history and the logs stay in `folder`, the data do not."""
    began = time.monotonic()
    scribe = Scribe(folder)
    with TemporaryDirectory(prefix="nemesis-") as data, ReplicaSet(Path(data)) as replica_set:
        env = {
            "NEMESIS_URI": replica_set.uri,
            "NEMESIS_DATABASE": DATABASE,
            "NEMESIS_HISTORY": str(folder),
            "NEMESIS_LEASE_S": str(campaign.lease_s),
        }
        rng = random.Random(campaign.seed)  # noqa: S311 (no secret)
        todo = errands(campaign.messages, deadly=campaign.deadly, lease_s=campaign.lease_s, rng=rng)
        with (
            MongoClient[Any](replica_set.uri, uuidRepresentation="standard") as client,
            MongoClient[Any](replica_set.uri, appname=APP, heartbeatFrequencyMS=500) as senders_client,
            Crew(
                campaign.commands, threads=campaign.threads, env=env, log=folder / "workers.log", scribe=scribe
            ) as crew,
            Senders(senders_client, DATABASE, todo, scribe) as senders,
        ):
            nemesis = Nemesis(campaign, rng, replica_set=replica_set, crew=crew, scribe=scribe, news=Reader(folder))
            nemesis.torment(senders, todo)
            nemesis.until(lambda: senders.are_done() and _is_at_rest(client), limit_s=campaign.settle_s)
            crew.dismiss()
            stored = _stored(client, _alarms(folder / "workers.log"))
    history = History.of(read(folder))
    verdicts = check(history, stored, max_crashes=MAX_CRASHES)
    return Report(campaign, verdicts, history, nemesis.done, time.monotonic() - began)


class Nemesis:
    def __init__(
        self,
        campaign: Campaign,
        rng: random.Random,
        *,
        replica_set: ReplicaSet,
        crew: Crew,
        scribe: Scribe,
        news: Reader,
    ) -> None:
        self.done: list[str] = []
        self._campaign = campaign
        self._rng = rng
        self._replica_set = replica_set
        self._crew = crew
        self._scribe = scribe
        self._news = news
        self._effects = 0
        self._running: dict[str, int] = {}
        self._kinds: dict[str, Callable[[], None]] = {
            "kill a worker": self.kill_worker,
            "lose a machine": self.lose_machine,
            "suspend a worker": self.suspend_worker,
            "step down": self.step_down,
            "kill the primary": self.kill_primary,
            "cut the streams": self.cut_streams,
            "fail writes": self.fail_writes,
            "fail commits": self.fail_commits,
        }

    def torment(self, senders: Senders, todo: list[Errand]) -> None:
        """Send everything in as many parts as there are faults, and one fault in the middle of each."""
        self._until_ready()
        for number, kind in enumerate(self._plan(), start=1):
            part = len(todo) / self._campaign.faults
            senders.release(int(part * (number - 0.5)))
            self.until_progress(int(part * 0.25))
            senders.release(int(part * number))
            self.done.append(kind)
            self._kinds[kind]()
            self._until_ready()
        senders.release(len(todo))

    def until(self, holds: Callable[[], Any], *, limit_s: float) -> bool:
        """Wait, and keep the crew complete meanwhile. False when it did not come true in time."""
        deadline = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline:
                return False
            self._crew.revive()
            self._read_news()
            time.sleep(0.02)
        return True

    def until_progress(self, effects: int) -> None:
        """Wait until so many more messages are completed; where they are too few, for a moment."""
        self._read_news()
        wanted = self._effects + effects
        self.until(lambda: self._effects >= wanted, limit_s=10)

    def kill_worker(self) -> None:
        """Its guardian lives, and gives back what it held."""
        victim = self._victim()
        self._kill(victim.worker, by="nemesis")

    def lose_machine(self) -> None:
        """Nobody is left who could give anything back."""
        victim = self._victim()
        worker, guardian = victim.worker, victim.guardian
        self._scribe.write("fault", kind="lose a machine", may_lose_charge=True)
        os.kill(guardian, signal.SIGKILL)
        self._kill(worker, by="nemesis")
        victim.main.kill()

    def suspend_worker(self) -> None:
        """For longer than its lease, alone or with its guardian."""
        victim = self._victim()
        frozen = [victim.guardian, victim.worker] if self._rng.random() < 0.5 else [victim.worker]
        name = process_name(victim.worker)
        self._scribe.write("suspended", of=name)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        # Once more for a run that has started since: it stands still, too.
        self._scribe.write("suspended", of=name)
        end = time.monotonic() + 2.5 * self._campaign.lease_s
        self.until(lambda: time.monotonic() > end, limit_s=60)
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._scribe.write("continued", of=name)
        self.until_progress(10)

    def step_down(self) -> None:
        self._scribe.write("fault", kind="step down", may_lose_charge=True)
        self._replica_set.step_down()

    def kill_primary(self) -> None:
        primary = self._replica_set.primary()
        self._scribe.write("fault", kind="kill the primary", is_failover=True, may_lose_charge=True)
        primary.kill()
        self._replica_set.primary()
        self.until_progress(10)
        primary.start()

    def cut_streams(self) -> None:
        """Kill the cursors of all change streams, and let the next attempts to go on or to open them fail."""
        primary = self._replica_set.primary()
        with failing(primary, ["getMore", "aggregate"], app_name=APP, times=12, errorCode=self._passing_code()):
            cut(primary, change_streams(primary, app_name=APP))
            self.until_progress(20)

    def fail_writes(self) -> None:
        """Each kind of write a few times, more often than the driver retries by itself."""
        for command in self._rng.sample(["insert", "findAndModify", "update"], 3):
            self._fail(command, {"closeConnection": True} if self._rng.random() < 0.3 else self._passing_error())

    def fail_commits(self) -> None:
        """Not applied, and said so; not known; connection lost; applied, and the answer says something else."""
        doubt = {"errorLabels": ["UnknownTransactionCommitResult"]}
        ways = [
            self._passing_error(),
            {**self._passing_error(), **doubt},
            {"closeConnection": True},
            {"writeConcernError": {"code": self._passing_code(), "errmsg": "the answer is lost", **doubt}},
        ]
        for how in self._rng.sample(ways, len(ways)):
            self._fail("commitTransaction", how)

    def _fail(self, command: str, how: dict[str, Any]) -> None:
        primary = self._replica_set.primary()
        times = self._rng.randint(2, 6)
        before = times_failed(primary)
        with failing(primary, [command], app_name=APP, times=times, **how):
            self.until(lambda: times_failed(primary) >= before + times, limit_s=5)

    def _passing_error(self) -> dict[str, Any]:
        return {"errorCode": self._passing_code()}

    def _passing_code(self) -> int:
        return self._rng.choice([*PASSING_CODES.values()])

    def _plan(self) -> Iterator[str]:
        """Every kind once before any comes again."""
        left: list[str] = []
        for _ in range(self._campaign.faults):
            if not left:
                left = self._rng.sample([*self._kinds], len(self._kinds))
            yield left.pop()

    def _victim(self) -> Command:
        """A command whose worker is at work, if there is one."""
        self.until(lambda: any(command.is_up for command in self._crew.commands), limit_s=60)
        self._read_news()
        up = [command for command in self._crew.commands if command.is_up]
        busy = [command for command in up if self._running.get(self._name_of(command.worker))]
        return self._rng.choice(busy or up)

    def _kill(self, pid: int, *, by: str) -> None:
        # Written before, so that nothing that follows from it can be older.
        self._scribe.write("death", of=process_name(pid), by=by)
        os.kill(pid, signal.SIGKILL)

    def _name_of(self, pid: int) -> str:
        with suppress(OSError):
            return process_name(pid)
        return ""

    def _until_ready(self) -> None:
        """Wait until no fault is left over from before: every node and every command is up."""
        assert self.until(self._replica_set.is_whole, limit_s=60), "the replica set heals"
        self.until(lambda: all(command.is_up for command in self._crew.commands), limit_s=30)

    def _read_news(self) -> None:
        for event in self._news.news():
            match event:
                case {"event": "effect"}:
                    self._effects += 1
                case {"event": "start", "process": process}:
                    self._running[process] = self._running.get(process, 0) + 1
                case {"event": "end", "process": process}:
                    self._running[process] = self._running.get(process, 0) - 1


def _is_at_rest(client: MongoClient[Any]) -> bool:
    with suppress(PyMongoError):
        return client[DATABASE].default.find_one({"state": {"$in": documents.LIVE}}, {"_id": 1}) is None
    return False


def _alarms(log: Path) -> list[str]:
    """The errors that cost a consumer or a guardian its life, each with its last line."""
    found, is_in_trace = [], False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if _DEADLY.search(line):
            is_in_trace = True
        elif is_in_trace and line and not line.startswith((" ", "Traceback")):
            found.append(line)
            is_in_trace = False
    return found


def _stored(client: MongoClient[Any], alarms: list[str]) -> Stored:
    """What is safe at the end."""
    database = client.get_database(DATABASE, read_concern=ReadConcern("majority"))
    return Stored(
        messages={
            str(UUID(str(document["_id"]))): Document(document["state"], document.get("crashes", 0))
            for document in database.default.find({}, {"state": 1, "crashes": 1})
        },
        completions=[
            Completion(document["message"], document.get("token"), document.get("follow_up"))
            for document in database.completions.find()
        ],
        ledger=ledger.read(client, f"{DATABASE}.default"),
        alarms=alarms,
    )
