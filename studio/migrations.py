"""Bringing the database into the shape that this version needs: collections, changes of what is stored, indexes.

`MIGRATIONS` are run in order, each until it has finished once, and never renumbered. Any number of processes may start
at the same time: one runs a migration, under a claim that it renews and that lapses when it dies, and the others wait.
A migration that was cut off is run again from its beginning, and processes of an older version may be writing beside
it. So it has to find what was done before, and change only the rest.

An index needs no migration: `reconcile` makes it what is declared. But a change of its definition takes a number too,
if need be with nothing to run, because by the numbers a process sees that the database belongs to a newer version, as
in the middle of a deployment, and leaves that version's indexes alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any, NamedTuple

import structlog
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from studio.errors import NotNow
from studio.indexes import reconcile
from studio.migration_records import CLAIM_S, MigrationRecords
from studio.schema import COLLECTIONS

log = structlog.get_logger("studio")

PATIENCE_S = 5.0
_LOOK_EVERY_S = 0.1
_NAMESPACE_EXISTS = 48


class Migration(NamedTuple):
    number: int
    name: str
    """What it changes, for whoever looks into the database."""
    run: Callable[[Database[Any]], object]


def _say_that_nothing_is_deleted(database: Database[Any]) -> None:
    database["artworks"].update_many({"deleted_at": {"$exists": False}}, {"$set": {"deleted_at": None}})


def _only_indexes(_database: Database[Any]) -> None:
    """The number is all there is to it."""


MIGRATIONS = [
    Migration(1, "Every artwork says whether it was deleted", _say_that_nothing_is_deleted),
    Migration(2, "Jobs are listed newest first", _only_indexes),
    Migration(3, "What is paid for has a ledger", _only_indexes),
    Migration(4, "Jobs are found by their paid calls", _only_indexes),
]


def migrate(database: Database[Any]) -> None:
    """Do what has not been done yet. Raises NotNow while another process takes long over a migration."""
    _create_collections(database)
    records = MigrationRecords(database["migrations"])
    finished = records.list_finished()
    for migration in MIGRATIONS:
        if migration.number not in finished:
            _finish(database, records, migration)
    is_newer = bool(finished - {migration.number for migration in MIGRATIONS})
    for name, collection in COLLECTIONS.items():
        reconcile(database[name], collection.indexes, replace=not is_newer)


def _create_collections(database: Database[Any]) -> None:
    """Make the collections that are missing, so that no transaction has to."""
    for name in COLLECTIONS.keys() - set(database.list_collection_names()):
        try:
            database.create_collection(name, check_exists=False)
        except OperationFailure as error:
            # Another process was faster.
            if error.code != _NAMESPACE_EXISTS:
                raise


def _finish(database: Database[Any], records: MigrationRecords, migration: Migration) -> None:
    """Return once the migration has finished, here or in another process. Raises NotNow when that one takes long."""
    records.create(migration.number, migration.name)
    give_up_at = time.monotonic() + PATIENCE_S
    while not records.is_finished(migration.number):
        claim = records.claim(migration.number)
        if claim:
            log.info("migration", number=migration.number)
            with _renewed(records, migration, claim):
                migration.run(database)
            records.mark_finished(migration.number, claim)
        elif time.monotonic() > give_up_at:
            raise NotNow(f"another process is running migration {migration.number}")
        else:
            time.sleep(_LOOK_EVERY_S)


@contextmanager
def _renewed(records: MigrationRecords, migration: Migration, claim: str) -> Iterator[None]:
    """Keep a claim until the end of the block."""
    over = Event()

    def renew() -> None:
        while not over.wait(CLAIM_S / 3):
            with suppress(PyMongoError):
                records.renew(migration.number, claim)

    thread = Thread(target=renew, name="migration-claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
