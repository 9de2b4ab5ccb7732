"""Cron without a leader: every worker process watches the schedules, and each tick is sent once.

    broker.add_middleware(Schedules([Schedule("nightly", "0 3 * * *", clean_up, timezone="Asia/Shanghai")]))

A tick is one instant that a schedule names. What has become of a schedule's ticks is one document of the collection
`{prefix}dramatiq_schedules`:

    _id         the schedule's name
    cron, timezone, actor, queue    as declared last
    decided     every tick up to here was sent or skipped
    last_tick   the newest one that was sent
    seen_at     when a worker last said that it watches this schedule

Whoever moves `decided` over a tick sends it. On a replica set both are one transaction. A standalone server has none:
there the message is stored first, under an id that follows from schedule and tick, so that the second to do so is
refused; only a process that is held up between its look and its write for longer than finished messages are kept
could send a tick twice.

Which ticks have come is decided by the server's clock alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from bson.codec_options import CodecOptions
from cronsim import CronSim, CronSimError
from dramatiq import Actor, Middleware
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.logging import get_logger
from dramatiq.message import Message
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_preferences import ReadPreference

from broker.documents import Document, Pipeline, State
from broker.errors import driver_errors
from broker.sending import outgoing
from broker.transaction import DURABLE, run_in_transaction

if TYPE_CHECKING:
    from dramatiq import Worker

    from broker.broker import MongoBroker

LOOK_EVERY_S = 60.0
"""The longest sleep, so that a step of the server's clock is noticed."""
SAY_EVERY = timedelta(minutes=5)
SILENT_AFTER = 2 * SAY_EVERY
"""A schedule that no worker has spoken of for so long is watched by none."""
STOP_WITHIN_S = 2.0
_IDS = UUID("5d0c5a8e-31c6-4a35-9f6e-0b5d6b2f7a41")


@dataclass(frozen=True)
class Schedule:
    """When to send what.

    `cron` has five fields as in Debian's cron: minute, hour, day of the month, month, day of the week; six, when
    seconds come first. It is read in `timezone`. Where clocks are set forward, what should have run in the missing
    hour runs right after it; where they are set back, what names its hours runs once.

    `send` is an actor, for which `args` and `kwargs` are, or a whole message. `queue_name` and `priority` take the
    place of the actor's.

    Ticks that were missed, because no worker ran or the database was away, are not all made up for: the newest is
    sent, once, unless it is older than `grace_s` seconds, and all before it are skipped. Ticks from before a schedule
    was first declared, or declared with another `cron` or `timezone`, do not count as missed.

    Raises ValueError when one of these makes no sense.
    """

    name: str
    cron: str
    send: Actor[Any, Any] | Message[Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    queue_name: str | None = None
    priority: int | None = None
    grace_s: float = 3600.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("A schedule needs a name.")
        if isinstance(self.send, Message) and (self.args or self.kwargs):
            raise ValueError(f"Schedule {self.name!r}: a message brings its own arguments.")
        if self.grace_s <= 0:
            raise ValueError(
                f"Schedule {self.name!r}: grace_s must be above 0, because no tick is sent before it comes."
            )
        try:
            next_tick(self.cron, self.timezone, after=datetime.now(UTC))
            self.message.encode()
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"Schedule {self.name!r}: {error}") from error

    @property
    def message(self) -> Message[Any]:
        """What every tick is a copy of."""
        message = self.send
        if not isinstance(message, Message):
            message = message.message_with_options(args=tuple(self.args), kwargs=dict(self.kwargs))
        return message.copy(queue_name=self.queue_name) if self.queue_name else message

    def next_tick(self, *, after: datetime) -> datetime:
        """The first tick after an instant, aware UTC."""
        return next_tick(self.cron, self.timezone, after=after)

    def due_tick(self, *, decided: datetime, now: datetime) -> datetime | None:
        """The tick to send now, when everything up to `decided` is settled: the newest, or None."""
        due = None
        start = max(decided, now - timedelta(seconds=self.grace_s))
        for tick in _ticks(self.cron, self.timezone, after=start):
            if tick > now:
                break
            due = tick
        return due

    def tick_message(self, tick: datetime, *, now: datetime) -> Message[Any]:
        """The message of one tick; its id is the same whoever makes it. Its options say which `tick` it is."""
        return self.message.copy(
            message_id=str(uuid5(_IDS, f"{self.name} {tick.isoformat()}")),
            message_timestamp=int(now.timestamp() * 1000),
            options={"schedule": self.name, "tick": tick.isoformat()},
        )


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What the database knows of a schedule. Times are aware UTC."""

    name: str
    cron: str
    timezone: str
    actor_name: str
    queue_name: str
    last_tick: datetime | None
    """The newest that was sent."""
    next_tick: datetime | None
    """None when this machine does not know the time zone."""
    seen_at: datetime
    is_watched: bool
    """Whether a worker has said within the last ten minutes that it sends these ticks."""


def list_schedules(broker: MongoBroker) -> list[ScheduleState]:
    """The schedules that workers have declared, by name. Raises ConnectionError."""
    with driver_errors():
        return [_state_of(row) for row in _collection(broker).find({}, {**_WHOLE, "now": "$$NOW"}).sort("_id", 1)]


def next_tick(cron: str, timezone: str, *, after: datetime) -> datetime:
    """The first tick after an instant, aware UTC. Raises ValueError for a wrong expression or time zone."""
    try:
        return next(_ticks(cron, timezone, after=after))
    except StopIteration:
        raise ValueError(f"{cron!r} names no day that ever comes") from None


class Schedules(Middleware):
    """Sends the ticks of its schedules from every worker process; one of these per broker.

    Raises ValueError when two schedules have the same name.
    """

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        self.schedules = list(schedules)
        names = [schedule.name for schedule in self.schedules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Two schedules have the same name: {', '.join(twice)}.")
        self._scheduler: Scheduler | None = None

    def after_worker_boot(self, broker: MongoBroker, worker: Worker) -> None:
        if self.schedules and self._scheduler is None:
            self._scheduler = Scheduler(broker, self.schedules)
            self._scheduler.start()

    def before_worker_shutdown(self, broker: MongoBroker, worker: Worker) -> None:
        if self._scheduler:
            self._scheduler.stop()
            self._scheduler = None


class Scheduler:
    """One process's watch over the schedules: a thread that sleeps until the next tick."""

    def __init__(self, broker: MongoBroker, schedules: Sequence[Schedule]) -> None:
        self.logger = get_logger(__name__, type(self))
        self.broker = broker
        self.schedules = schedules
        self._collection = _collection(broker)
        self._names = [schedule.name for schedule in schedules]
        self._stop = Event()
        self._thread = Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop sending. What is being sent is waited for, but not for long: the database may be away."""
        self._stop.set()
        self._thread.join(STOP_WITHIN_S)

    def look(self) -> float:
        """Send what is due; how many seconds until the next look. Raises PyMongoError and ConnectionError."""
        rows = self._rows()
        if len(rows) < len(self.schedules):
            self._declare()
            rows = self._rows()
        looked_at = time.monotonic()
        now: datetime = next(iter(rows.values()))["now"]
        for schedule in self.schedules:
            self._send_due(schedule, decided=rows[schedule.name]["decided"], now=now)
        if now - min(row["seen_at"] for row in rows.values()) > SAY_EVERY:
            self._collection.update_many({"_id": {"$in": self._names}}, {"$currentDate": {"seen_at": True}})
        following = min(schedule.next_tick(after=now) for schedule in self.schedules)
        return min((following - now).total_seconds() - (time.monotonic() - looked_at), LOOK_EVERY_S)

    def _run(self) -> None:
        is_declared, failures = False, 0
        while not self._stop.is_set():
            try:
                if not is_declared:
                    self._declare()
                    is_declared = True
                wait_s, failures = self.look(), 0
            except (PyMongoError, BrokerConnectionError) as error:
                failures += 1
                wait_s = min(0.5 * 2**failures, LOOK_EVERY_S / 4)
                # At the end the client is closed under the look.
                if not self._stop.is_set():
                    self.logger.warning("Schedules: %s; looking again in %.0f s.", type(error).__name__, wait_s)
            except Exception:
                wait_s = LOOK_EVERY_S
                self.logger.exception("Schedules: looking again in %.0f s.", wait_s)
            self._stop.wait(max(wait_s, 0.001))

    def _rows(self) -> dict[str, Document]:
        """One command tells the time and what has been decided."""
        found = self._collection.find({"_id": {"$in": self._names}}, {"decided": 1, "seen_at": 1, "now": "$$NOW"})
        return {row["_id"]: row for row in found}

    def _declare(self) -> None:
        self._collection.bulk_write(
            [UpdateOne({"_id": schedule.name}, _declared(schedule), upsert=True) for schedule in self.schedules]
        )

    def _send_due(self, schedule: Schedule, *, decided: datetime, now: datetime) -> None:
        tick = schedule.due_tick(decided=decided, now=now)
        if tick is None or self._stop.is_set():
            return
        try:
            self._send(schedule, tick, now)
        except (PyMongoError, BrokerConnectionError):
            raise
        except Exception:
            # One schedule that cannot be sent must not keep the others from it.
            self.logger.exception("Schedule %r was not sent.", schedule.name)

    def _send(self, schedule: Schedule, tick: datetime, now: datetime) -> None:
        message = schedule.tick_message(tick, now=now)
        if self.broker.is_standalone:
            self._store(schedule, message)
            self._decide(schedule, tick)
        else:
            decide_and_enqueue = partial(self._decide_and_enqueue, schedule, tick, message)
            run_in_transaction(self.broker.database.client, decide_and_enqueue)

    def _decide_and_enqueue(
        self, schedule: Schedule, tick: datetime, message: Message[Any], session: ClientSession
    ) -> None:
        if not self._decide(schedule, tick, session):
            return
        self.broker.enqueue(message)
        if schedule.priority is not None:
            self.broker.queues[message.queue_name].update_one(
                {"_id": UUID(message.message_id), "state": State.QUEUED},
                {"$set": {"priority": schedule.priority}},
                session=session,
            )

    def _decide(self, schedule: Schedule, tick: datetime, session: ClientSession | None = None) -> bool:
        """Whether it was this call that moved `decided` over the tick."""
        moved = self._collection.update_one(
            {"_id": schedule.name, "decided": {"$lt": tick}},
            {"$set": {"decided": tick, "last_tick": tick}},
            session=session,
        )
        return moved.modified_count == 1

    def _store(self, schedule: Schedule, message: Message[Any]) -> None:
        """Store the message unless it is stored. Not `enqueue`, which would run one again that is done already."""
        actor = self.broker.actors.get(message.actor_name)
        priority = schedule.priority if schedule.priority is not None else actor.priority if actor else 0
        self.broker.emit_before("enqueue", message, None)
        try:
            item = outgoing(message, priority=priority, delay_ms=None)
            self.broker.queues[message.queue_name].insert_one(item.document)
        except DuplicateKeyError:
            return
        self.broker.lookout.ring(message.queue_name)
        self.broker.emit_after("enqueue", message, None)


def _ticks(cron: str, timezone: str, *, after: datetime) -> Iterator[datetime]:
    """The ticks after an instant, in order, aware UTC. Raises ValueError for a wrong expression or time zone."""
    zone = _zone(timezone)
    try:
        found = CronSim(cron, after.astimezone(zone))
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron expression: {error}") from error
    last = after
    for local in found:
        tick = local.astimezone(UTC)
        # An hour that comes twice is walked from its first time, and what lies in a missing hour falls together.
        if tick > last:
            yield tick
            last = tick


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{timezone!r} is no time zone that this machine knows (where it knows none, the package tzdata helps)"
        ) from error


_WHOLE = dict.fromkeys(("cron", "timezone", "actor", "queue", "decided", "last_tick", "seen_at"), 1)


def _collection(broker: MongoBroker) -> Collection[Document]:
    collection: Collection[Document] = broker.database.get_collection(
        f"{broker.collection_prefix}dramatiq_schedules",
        codec_options=CodecOptions[Document](tz_aware=True),
        write_concern=DURABLE,
        read_preference=ReadPreference.PRIMARY,
    )
    return collection


def _declared(schedule: Schedule) -> Pipeline:
    """The upsert of a schedule. What it reads with "$" is the document as it was."""
    cron, timezone = {"$literal": schedule.cron}, {"$literal": schedule.timezone}
    is_same = {"$and": [{"$eq": ["$cron", cron]}, {"$eq": ["$timezone", timezone]}]}
    message = schedule.message
    return [
        {
            "$set": {
                "decided": {"$cond": [is_same, {"$ifNull": ["$decided", "$$NOW"]}, "$$NOW"]},
                "cron": cron,
                "timezone": timezone,
                "actor": {"$literal": message.actor_name},
                "queue": {"$literal": message.queue_name},
                "seen_at": "$$NOW",
            }
        }
    ]


def _state_of(row: Document) -> ScheduleState:
    try:
        following = next_tick(row["cron"], row["timezone"], after=row["now"])
    except ValueError:
        following = None
    return ScheduleState(
        name=row["_id"],
        cron=row["cron"],
        timezone=row["timezone"],
        actor_name=row["actor"],
        queue_name=row["queue"],
        last_tick=row.get("last_tick"),
        next_tick=following,
        seen_at=row["seen_at"],
        is_watched=row["now"] - row["seen_at"] < SILENT_AFTER,
    )
