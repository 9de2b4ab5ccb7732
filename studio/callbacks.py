"""Callbacks: a service that was asked for something says that something has changed.

They only bring the next look forward. What a callback says of states and addresses is not believed: the look asks the
service itself, and it would come without any callback too.

Each paid call has an address of its own, and whoever was not told that address cannot guess it. Its last part is the
call's id and a keyed digest of it, so nothing has to be stored to know it again. It holds a secret: it is in no log.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import NamedTuple

from pymongo import ASCENDING
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio.indexes import Index
from studio.providers.cards import Card
from studio.records import Documents, Record, insert, is_new_id
from studio.settings import Settings

PATH = "/api/webhook"
KEEP_S = 8 * 24 * 3600
"""Longer than any sender repeats a callback."""


def callback_url(settings: Settings, card: Card | None, submission_id: str) -> str | None:
    """Where a provider may say that a call has changed; None where it does not do so, or cannot reach us."""
    if card is None or card.callbacks is None:
        return None
    # A worker without the key of the web processes could only make addresses that they do not know.
    is_known = bool(settings.owner_key.get_secret_value())
    if not is_known or not settings.public_url.startswith("https://"):
        return None
    return f"{settings.public_url}{PATH}/{card.name}/{token_of(settings, card.name, submission_id)}"


def token_of(settings: Settings, provider: str, submission_id: str) -> str:
    """The last part of a call's own address."""
    key = hmac.digest(settings.owner_key.get_secret_value().encode(), b"callbacks", hashlib.sha256)
    digest = hmac.digest(key, f"{provider}/{submission_id}".encode(), hashlib.sha256)
    return f"{submission_id}.{urlsafe_b64encode(digest[:18]).decode()}"


def submission_of(settings: Settings, provider: str, token: str) -> str | None:
    """The call that such a last part is of; None for one that we never made for this provider."""
    submission_id = token.partition(".")[0]
    # Ids have a shape of their own, so that what is compared is always of one length.
    wanted = token_of(settings, provider, submission_id) if is_new_id(submission_id) else ""
    return submission_id if hmac.compare_digest(wanted.encode(), token.encode()) and wanted else None


class Callback(NamedTuple):
    """One that was verified."""

    sender: str
    """The route that it came by; `resolve` where a person has told under which id a call is known."""
    id: str
    """The same for each time that the sender sends it."""
    names: str
    """The call by our id or the provider's, or the job."""
    hinted_id: str | None = None
    """Under which the provider says that it has the call."""


class AlreadyReceived(Exception):
    """This callback has had its effect. Raised through the transaction, which the server has aborted."""


class ReceivedCallback(Record, frozen=True, kw_only=True):
    """That one was received, so that it has its effect once. `id` is a digest: it leads back to nothing."""

    sender: str
    """The route that it came by; `resolve` where a person has told under which id a call is known."""


INDEXES = [
    Index(
        [("created_at", ASCENDING)],
        name="expiry",
        expireAfterSeconds=KEEP_S,
        why="Nobody sends one again after so long.",
    )
]


class ReceivedCallbacks:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def note(self, callback: Callback, *, session: ClientSession) -> None:
        """Note it, in the transaction of its effect. Raises AlreadyReceived."""
        digest = hashlib.sha256(f"{callback.sender}\n{callback.id}".encode()).hexdigest()
        try:
            insert(self._collection, {"_id": digest, "sender": callback.sender}, session=session)
        except DuplicateKeyError as error:
            raise AlreadyReceived from error
