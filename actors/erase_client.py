"""Remove everything of a client: what runs for him, his objects, his documents, the messages about them.

Each run takes a batch of everything. A batch of documents goes in one transaction with the messages that name them and
with the receipt's count, so whoever runs a step for one of them can settle nothing any more. What steps and calls that
were on their way write meanwhile is found by the next look, and only a look that finds nothing ends it.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from uuid import NAMESPACE_DNS, uuid5

import structlog
from pymongo.client_session import ClientSession

from actors import wishes
from actors.chores import chore
from actors.wiring import broker, studio
from broker import State, current_delivery, naming, reschedule_current, run_in_transaction
from broker.naming import Named
from studio import privacy
from studio.erasures import Batch, Erasure
from studio.keys import owner_prefix
from studio.privacy import Ids

BATCH = 200
LOOK_AGAIN_MS = 5_000
"""Longer than calls take that were on their way when everything had been removed."""
STOPPING_MS = 1_000
STOP_WITHIN_S = 900
"""How long jobs may take to stop; providers that are away are tried for ten minutes. What does not stop does not hold
up the rest: it can settle nothing any more."""

log = structlog.get_logger("actors")
_MESSAGES = uuid5(NAMESPACE_DNS, "erasures.huaban")


def send_erasure(erasure: Erasure) -> None:
    """Send the message that goes on with an erasure, in the transaction around the caller. There is one of each."""
    broker.enqueue(erase_client.message(erasure.id).copy(message_id=str(uuid5(_MESSAGES, erasure.id))))


@chore(priority=0)
def erase_client(receipt_id: str) -> None:
    """Remove the next batch of everything, and look again. Finished once there was nothing to remove."""
    erasure = studio.erasures.get(receipt_id).now()
    if erasure is None or erasure.owner is None:
        return
    if erasure.batch:
        remove_objects(erasure, erasure.batch)
        reschedule_current(delay_ms=0)
        return
    ids = privacy.list_ids(studio.database, erasure.owner, limit=BATCH)
    messages = naming.list_naming(broker, [erasure.owner, *named_by(ids)])
    if is_stopping(erasure.owner, messages):
        return
    sizes = sizes_of_objects(erasure.owner, ids)
    if not (ids or messages or sizes):
        # A walk that broke off may stand at one of his keys.
        studio.walks.leave(owner_prefix(erasure.owner))
        if studio.erasures.finish(erasure):
            log.info("client_erased")
        else:
            reschedule_current(delay_ms=STOPPING_MS)
        return
    if sizes:
        batch = studio.erasures.open_batch(erasure, sizes)
        if batch is None:
            # Somebody else is at it, and until those objects are noted nothing may go that leads to them.
            reschedule_current(delay_ms=STOPPING_MS)
            return
        remove_objects(erasure, batch)
    run_in_transaction(studio.client, partial(remove_documents, erasure, erasure.owner, ids, messages))
    is_more = len(sizes) >= BATCH or any(len(some) == BATCH for some in ids.values())
    reschedule_current(delay_ms=0 if is_more else LOOK_AGAIN_MS)


def named_by(ids: Ids) -> set[str]:
    """The ids that a message may name."""
    return {one for some in ids.values() for one in some if isinstance(one, str)}


def is_stopping(owner: str, messages: list[Named]) -> bool:
    """Stop what is being done for the client. Whether some of it goes on for now, and is worth waiting for."""
    is_busy = bool(wishes.cancel_all(owner))
    if not is_busy:
        for message in messages:
            if message.is_live:
                broker.cancel(message.message_id, queue_name=message.queue_name)
        is_busy = any(message.state is State.CONSUMED for message in messages)
    delivery = current_delivery()
    waits = delivery.options.get("stopping", 0) if delivery else 0
    if not is_busy or waits >= STOP_WITHIN_S:
        return False
    reschedule_current(delay_ms=STOPPING_MS, options={"stopping": waits + 1})
    return True


def sizes_of_objects(owner: str, ids: Ids) -> dict[str, int]:
    """Some of the client's objects: what lies in his folder, and imported films that are nobody else's."""
    prefix = owner_prefix(owner)
    inside = {one.key: one.size for one in islice(studio.objects.list_objects(prefix), BATCH)}
    assets = studio.media_assets.by_ids(owner, set(ids.get("media_assets", []))).now().values()
    outside = {asset.key: asset.size for asset in assets if not asset.key.startswith(prefix)}
    shared = studio.media_assets.shared_keys(owner, outside)
    return inside | {key: size for key, size in outside.items() if key not in shared}


def remove_objects(erasure: Erasure, batch: Batch) -> None:
    for key in batch.keys:
        studio.objects.delete(key)
    studio.erasures.close_batch(erasure, batch)


def remove_documents(erasure: Erasure, owner: str, ids: Ids, messages: list[Named], session: ClientSession) -> None:
    """Remove documents, the messages that name them, and count both."""
    documents = privacy.delete(studio.database, owner, ids, session=session)
    count = naming.remove(broker, messages)
    studio.erasures.count(erasure, documents=documents, messages=count, session=session)
