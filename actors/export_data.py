"""Write everything that is kept of a client into an archive, and store that for a week."""

from __future__ import annotations

import hashlib
import shutil
from tempfile import TemporaryFile, gettempdir
from threading import BoundedSemaphore
from uuid import NAMESPACE_DNS, uuid5

import structlog
from pymongo.errors import PyMongoError

from actors.chores import chore, is_last_attempt
from actors.wiring import broker, studio
from studio.archive import write_archive
from studio.errors import NotNow
from studio.exports import Export, ExportStatus
from studio.keys import owner_prefix

MIME = "application/zip"
SPARE_BYTES = 512 * 1024**2
"""Room on the disk that an archive leaves to others."""
BUSY_S = 5.0

log = structlog.get_logger("actors")
_MESSAGES = uuid5(NAMESPACE_DNS, "exports.huaban")
# An archive is as large as all that a client has, and for a while it lies on this machine's disk.
_seat = BoundedSemaphore()


def send_export(export: Export) -> None:
    """Send the message that prepares an export, in the transaction around the caller. There is one of each."""
    broker.enqueue(export_data.message(export.id).copy(message_id=str(uuid5(_MESSAGES, export.id))))


@chore(priority=1)
def export_data(export_id: str) -> None:
    """Prepare the archive, unless that was done before, and remove those before it."""
    export = studio.exports.load(export_id).now()
    if export is None or export.status is ExportStatus.FAILED:
        return
    if export.status is ExportStatus.PREPARING and not prepare(export):
        return
    for older in studio.exports.list_before(export).now():
        remove_export(older)


def remove_export(export: Export) -> None:
    studio.objects.delete(export.key)
    studio.exports.delete(export)


def prepare(export: Export) -> bool:
    """Whether the archive is there to be fetched. Raises what is worth another run."""
    try:
        size, sha256 = store_archive(export)
    except (NotNow, PyMongoError):
        raise
    except Exception:
        if not is_last_attempt():
            raise
        log.exception("export_failed")
        studio.exports.mark_failed(export)
        return False
    is_wanted = studio.exports.mark_ready(export, size=size, sha256=sha256)
    if not is_wanted:
        # Its owner was erased meanwhile, and nothing would ever lead to it.
        studio.objects.delete(export.key)
    return is_wanted


def store_archive(export: Export) -> tuple[int, str]:
    """Size and SHA-256 of the archive. Raises NotNow while another one is being written here, or the disk is full."""
    if not _seat.acquire(blocking=False):
        raise NotNow("another export is being written here", retry_after_s=BUSY_S)
    try:
        check_room(export)
        # A file without a name: should the process die, nothing of the client stays on the disk.
        with TemporaryFile() as file:
            write_archive(studio, export.owner, file)
            size = file.tell()
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            studio.objects.upload_file(file, export.key, mime=MIME)
        return size, sha256
    finally:
        _seat.release()


def check_room(export: Export) -> None:
    """Raises NotNow when the client's objects would fill the disk."""
    size = sum(stored.size for stored in studio.objects.list_objects(owner_prefix(export.owner)))
    if size + SPARE_BYTES > shutil.disk_usage(gettempdir()).free:
        raise NotNow("the disk has no room for an export")
