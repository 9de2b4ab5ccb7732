"""The messages of a job. Their ids follow from it: so each can be looked for, and one sent twice is stored once."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import NAMESPACE_DNS, uuid5

from actors.wiring import broker
from studio.jobs import Job

_MESSAGES = uuid5(NAMESPACE_DNS, "messages.huaban")


def message_id(job: Job) -> str:
    """Of the message that runs a job's step."""
    return _id_of(job, job.step, job.tries)


def cancel_message_id(job: Job) -> str:
    """Of the message that cancels a job."""
    return _id_of(job, "cancel", job.tries)


def message_ids(job: Job) -> Iterator[str]:
    """Of every message that a job can have had, in the queue or among the dead letters."""
    for tries in range(job.tries + 1):
        for name in (*job.steps, "cancel"):
            yield _id_of(job, name, tries)


def send_step(job: Job, *, after_s: float = 0.0) -> None:
    """Send the message that runs a job's step after a while, in the transaction around the caller."""
    _send(job.step, job, message_id(job), after_s=after_s)


def send_cancel(job: Job) -> None:
    """Send the message that cancels a job, in the transaction around the caller."""
    _send("cancel_job", job, cancel_message_id(job))


def _send(actor: str, job: Job, with_id: str, *, after_s: float = 0.0) -> None:
    message = broker.get_actor(actor).message(job.id).copy(message_id=with_id)
    broker.enqueue(message, delay=round(1000 * after_s) or None)


def _id_of(job: Job, name: str, tries: int) -> str:
    return str(uuid5(_MESSAGES, f"{job.id}/{name}/{tries}"))
