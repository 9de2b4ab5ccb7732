"""Remove everything of a client: what runs for him, his objects, his documents, the messages about them.

Each run takes a batch of everything. A batch of documents goes in one transaction with the messages that name them and
with the receipt's count, so whoever runs a step for one of them can settle nothing any more. What steps and calls that
were on their way write meanwhile is found by the next look, and only a look that finds nothing ends it.
"""

from __future__ import annotations

from itertools import islice
from uuid import NAMESPACE_DNS, uuid5

import structlog
from pymongo.client_session import ClientSession

from actors.chores import chore
from actors.wiring import broker, studio
from broker import State, naming, reschedule_current, run_in_transaction
from broker.naming import Named
from studio import privacy
from studio.erasures import Batch, Erasure
from studio.keys import owner_prefix
from studio.objects import StoredObject
from studio.privacy import Ids

BATCH = 200
LOOK_AGAIN_MS = 5_000
"""Longer than calls take that were on their way when everything had been removed."""
STOPPING_MS = 1_000
STOP_WITHIN_S = 600.0
"""How long running steps may take to stop. One that does not will not hold up the rest: it can settle nothing."""

log = structlog.get_logger("actors")
_MESSAGES = uuid5(NAMESPACE_DNS, "erasures.huaban")


def send_erasure(erasure: Erasure) -> None:
    """Send the message that goes on with an erasure, in the transaction around the caller. There is one of each."""
    broker.enqueue(erase_client.message(erasure.id).copy(message_id=str(uuid5(_MESSAGES, erasure.id))))


@chore(priority=0)
def erase_client(receipt_id: str) -> None:
    """Remove the next batch, and look again. Finished once there was nothing to remove."""
    erasure = studio.erasures.get(receipt_id).now()
    if erasure is None or erasure.owner is None:
        return
    if erasure.batch:
        remove_objects(erasure, erasure.batch)
    ids = privacy.list_ids(studio.database, erasure.owner, limit=BATCH)
    messages = naming.list_naming(broker, [erasure.owner, *named_by(ids)])
    if has_running(erasure, messages):
        reschedule_current(delay_ms=STOPPING_MS)
        return
    objects = list_objects(erasure.owner, ids)
    if not objects and not ids and not messages:
        studio.erasures.finish(erasure)
        log.info("client_erased")
        return
    if objects and (batch := studio.erasures.open_batch(erasure, objects)):
        remove_objects(erasure, batch)
    run_in_transaction(studio.client, lambda session: remove_documents(erasure, ids, messages, session))
    is_more = len(objects) >= BATCH or any(len(some) == BATCH for some in ids.values())
    reschedule_current(delay_ms=0 if is_more else LOOK_AGAIN_MS)
