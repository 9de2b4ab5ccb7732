"""Slots at providers, as jobs hold them: taken before a clip is asked for, and freed when its making has ended.

A job that finds none waits as a message that is due later, and is brought forward when it is its turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from dramatiq.errors import ConnectionError as BrokerConnectionError
from pymongo.errors import PyMongoError

from actors.messages import message_id
from actors.wiring import broker, studio
from studio.errors import NotNow, StudioError
from studio.jobs import Job
from studio.providers import Capability
from studio.providers.cards import Offer
from studio.providers.interfaces import Provider

MARGIN_S = 120.0
"""A slot whose job died is free so long after the provider would have given up at the latest."""

log = structlog.get_logger("actors")


@contextmanager
def taking_slot(job: Job, provider: Provider) -> Iterator[None]:
    """Around asking for a clip: hold a slot for as long as it may be in the making. Raises NotNow where there is none.

    It is kept where the call may have been accepted, and where it is only to be made later.
    """
    offer = offer_of(provider)
    if offer is None:
        yield
        return
    is_mine = studio.gates.take_slot(
        provider.name,
        Capability.ANIMATOR,
        offer,
        holder=job.id,
        for_s=offer.limit_s + MARGIN_S,
        wake=message_id(job),
    )
    if not is_mine:
        # Without a time, so that he looks again soon at first: who is woken while he goes to wait does not hear it.
        raise NotNow(f"{provider.name} has no free slot")
    try:
        yield
    except StudioError:
        free_slots(job)
        raise


def offer_of(provider: Provider) -> Offer | None:
    """What the provider's card says of its clips; None where nothing is counted."""
    card = studio.providers.card(provider.name)
    return card.offer(Capability.ANIMATOR) if card and not provider.is_free else None


def free_slots(job: Job) -> None:
    """The job has nothing in the making any more. That nobody is told of it mends itself, in time."""
    try:
        studio.gates.free_slot(job.id)
    except PyMongoError as error:
        log.info("slot_not_freed", reason=type(error).__name__)


def free_slots_of_the_dead() -> None:
    """Free the slots of jobs that have ended without doing so."""
    holders = studio.gates.slots.list_holders()
    for holder in set(holders) - studio.jobs.which_are_unfinished(holders):
        log.warning("slot_without_job", job_id=holder)
        studio.gates.free_slot(holder)


def _wake(message: str) -> None:
    try:
        broker.bring_forward(message)
    except BrokerConnectionError as error:
        # It comes by itself before long.
        log.info("waiter_not_woken", reason=type(error).__name__)


studio.gates.slots.wake = _wake
