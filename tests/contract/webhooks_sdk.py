"""The reference client of Standard Webhooks: it reads what we sign, and we read what it signs."""

from __future__ import annotations

import base64
import json
import secrets
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from studio import signatures
from tests.providers.callbacks import SECRET, standard_signature

BODY = '{"event": "job.ended", "title": "小狐狸"}'.encode()
ID = "msg_0193a1b2c3d4e5f6"


@pytest.fixture
def old() -> bytes:
    return secrets.token_bytes(32)


@pytest.fixture
def new() -> bytes:
    return secrets.token_bytes(32)


def receiver(key: bytes) -> Webhook:
    return Webhook(f"whsec_{base64.b64encode(key).decode()}")


def headers(*keys: bytes, timestamp: int | None = None) -> dict[str, str]:
    at = int(time.time()) if timestamp is None else timestamp
    signature = signatures.sign(keys, ID, at, BODY)
    return {"webhook-id": ID, "webhook-timestamp": str(at), "webhook-signature": signature}


def test_what_we_sign_is_verified(new: bytes) -> None:
    assert receiver(new).verify(BODY, headers(new)) == json.loads(BODY)


def test_while_a_secret_is_exchanged_either_receiver_reads_us(old: bytes, new: bytes) -> None:
    for key in (old, new):
        assert receiver(key).verify(BODY, headers(old, new))


def test_another_body_or_key_or_time_is_not_verified(old: bytes, new: bytes) -> None:
    with pytest.raises(WebhookVerificationError):
        receiver(old).verify(BODY, headers(new))
    with pytest.raises(WebhookVerificationError):
        receiver(new).verify(BODY + b" ", headers(new))
    with pytest.raises(WebhookVerificationError):
        receiver(new).verify(BODY, headers(new, timestamp=int(time.time()) - signatures.TOLERANCE_S - 60))


def test_what_others_sign_is_read_by_us(old: bytes, new: bytes) -> None:
    now = datetime.now(UTC)
    given = receiver(new).sign(ID, now, BODY.decode())
    at = str(int(now.timestamp()))
    assert signatures.is_signed([old, new], ID, at, BODY, given)
    assert not signatures.is_signed([old], ID, at, BODY, given)
    assert not signatures.is_signed([new], ID, at, BODY + b" ", given)


def test_what_the_simulators_sign_is_verified() -> None:
    given = standard_signature(ID, int(time.time()), BODY, is_forged=False)
    assert Webhook(SECRET).verify(BODY, given) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, standard_signature(ID, int(time.time()), BODY, is_forged=True))
