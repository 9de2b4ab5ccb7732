"""What goes when its time is over. Schedules send these; each takes a batch, and comes back while there is more."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from pymongo.client_session import ClientSession

from actors.chores import chore
from actors.erase_client import send_erasure
from actors.export_data import remove_export
from actors.wiring import studio
from broker import reschedule_current, run_in_transaction
from studio import orphans, retention, scratch, uploads
from studio.clients import Client
from studio.ledger import LINKED_DAYS
from studio.records import server_time

BATCH = 200
PREPARE_WITHIN = timedelta(days=1)
"""An export that is not ready by then has lost its message."""
ORPHAN_AFTER_S = 24 * 3600
"""Longer than any step takes from its first object to its document."""


@chore()
def sweep_uploads() -> None:
    """Remove uploads that were never committed, and what a process that was killed here has left of one."""
    scratch.sweep()
    _again_if(uploads.sweep(studio, _upload_age_s()) == uploads.SWEEP_AT_ONCE)


@chore()
def sweep_orphans() -> None:
    """Remove objects that belong to no document."""
    orphans.sweep_lent(studio, ORPHAN_AFTER_S)
    age_s = max(ORPHAN_AFTER_S, _upload_age_s())
    swept = orphans.sweep_orphans(studio, age_s, after=studio.walks.position("orphans"))
    _walk_on("orphans", swept.last)


@chore()
def sweep_exports() -> None:
    """Remove exports a week after they were made, and give up those that nobody prepares."""
    now = server_time(studio.client)
    studio.exports.fail_before(now - PREPARE_WITHIN)
    expired = studio.exports.list_expired(now, limit=BATCH).now()
    for export in expired:
        remove_export(export)
    _again_if(len(expired) == BATCH)


@chore()
def forget_failed_jobs() -> None:
    """Remove the records of jobs that failed; what they left in the bucket is an orphan then."""
    before = server_time(studio.client) - timedelta(days=studio.settings.retain_failed_days)
    _again_if(studio.jobs.delete_failed_before(before, limit=BATCH) == BATCH)


@chore()
def empty_bin() -> None:
    """Remove artworks for good that were deleted and not restored."""
    before = server_time(studio.client) - timedelta(days=studio.settings.retain_deleted_days)
    binned = studio.artworks.list_deleted_before(before, limit=BATCH).now()
    for artwork in binned:
        gone = run_in_transaction(studio.client, partial(retention.purge, studio, artwork))
        retention.remove_objects(studio, gone)
    _again_if(len(binned) == BATCH)


@chore()
def unlink_old_spending() -> None:
    """Let the books of more than a year ago no longer tell whose works they paid for."""
    before = studio.ledger.today() - timedelta(days=LINKED_DAYS)
    _again_if(studio.ledger.unlink_before(before, limit=BATCH) == BATCH)


@chore()
def review_media() -> None:
    """Walk through all media, and remove those that nothing uses and recordings that have served their purpose."""
    assets = studio.media_assets.list_after(studio.walks.position("media"), limit=BATCH).now()
    now = server_time(studio.client)
    for asset in retention.due_media(studio, assets, now=now):
        # It took a while to remove those before it, and somebody may have come to use this one.
        if not retention.due_media(studio, [asset], now=now):
            continue
        run_in_transaction(studio.client, partial(retention.remove_media, studio, asset))
        retention.remove_objects(studio, [asset])
    _walk_on("media", assets[-1].id if len(assets) == BATCH else None)


@chore()
def erase_inactive_clients() -> None:
    """Have those erased who have not been here for a long time."""
    if not studio.settings.retain_inactive_months:
        return
    inactive = studio.clients.list_inactive(months=studio.settings.retain_inactive_months, limit=BATCH).now()
    for client in inactive:
        run_in_transaction(studio.client, partial(_begin_erasure, client))
    # They are listed until they are gone, and that is the work of others.
    _again_if(len(inactive) == BATCH, after_s=60)


@chore()
def resume_erasures() -> None:
    """Send the messages of erasures that are not finished: what became a dead letter has to be tried again."""
    for erasure in studio.erasures.list_open(limit=BATCH).now():
        send_erasure(erasure)


def _upload_age_s() -> int:
    """How long an upload is waited for: never less than its presigned address works."""
    settings = studio.settings
    return max(3600 * settings.retain_uploads_hours, settings.presign_expires_s)


def _begin_erasure(client: Client, session: ClientSession) -> None:
    send_erasure(studio.erasures.open(client.id, session=session))


def _walk_on(walk: str, last: str | None) -> None:
    studio.walks.move(walk, last)
    _again_if(last is not None)


def _again_if(is_more: bool, *, after_s: float = 0.0) -> None:  # noqa: FBT001 (reads as a sentence)
    if is_more:
        reschedule_current(delay_ms=1000 * after_s)
