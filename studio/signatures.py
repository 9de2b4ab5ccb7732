"""How webhooks are signed: always the bytes as they are sent, never what they were read as.

Standard Webhooks (https://www.standardwebhooks.com) signs `{id}.{timestamp}.{body}` with HMAC-SHA256. A body that
carries its own signature cannot be covered by it as a whole: there the form is Stripe's, `t=<seconds>,v1=<hex>` over
`{timestamp}.{content}`. fal signs with Ed25519 and publishes its keys.

Nothing here looks at a clock: whoever verifies says what time it is.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import time
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300
"""How far the time of a signature may be from ours, in either direction."""
SECRET_MIN_BYTES = 24
MOST_ENTRIES = 10
"""Signatures in one header that are looked at: a sender that exchanges its secret sends two."""

_PREFIX = "whsec_"
# Those that stand in somebody's documentation, and of which everybody knows that people copy them.
_PUBLISHED = {
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "Y29udHJhY3QtdGVzdC1rZXktMDEyMzQ1Njc4OWFiY2Q=",
}
_LEAST_DIFFERENT_BYTES = 12
"""Of a secret that is random. What repeats itself is something that a person typed."""
_STAMPED = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,10})")


def read_secret(text: str) -> bytes:
    """The key in a secret `whsec_<base64>`. Raises ValueError for one that is too short or known to everybody."""
    encoded = text.removeprefix(_PREFIX)
    try:
        key = b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if encoded == text or len(key) < SECRET_MIN_BYTES:
        raise ValueError(f"a webhook secret is {_PREFIX} and the base64 of at least {SECRET_MIN_BYTES} random bytes")
    if encoded in _PUBLISHED or len(set(key)) < _LEAST_DIFFERENT_BYTES:
        raise ValueError("this webhook secret is an example, which everybody knows")
    return key


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The keys in secrets that are separated by commas. Raises ValueError as `read_secret` does."""
    return tuple(read_secret(secret) for secret in map(str.strip, text.split(",")) if secret)


def is_timely(timestamp: int, now: float) -> bool:
    """Whether something was signed lately; a time to come is as suspicious as one long gone."""
    return abs(int(now) - timestamp) <= TOLERANCE_S


def sign(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature per key, for as long as a secret is being exchanged."""
    content = _standard_content(message_id, timestamp, body)
    return " ".join(f"v1,{b64encode(_mac(key, content)).decode()}" for key in keys)


def is_signed(keys: Sequence[bytes], message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures in a header is of one of the keys. `timestamp` as it was sent."""
    content = _standard_content(message_id, timestamp, body)
    return _is_one_of(list(_given(signatures)), [_mac(key, content) for key in keys])


def _standard_content(message_id: str, timestamp: int | str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _given(signatures: str) -> Iterable[bytes]:
    """The signatures in a header that are of the scheme `v1`; what cannot be read is none."""
    for entry in signatures.split(" ")[:MOST_ENTRIES]:
        version, _, encoded = entry.partition(",")
        if version == "v1":
            # Not ASCII, or no base64.
            with suppress(ValueError):
                yield b64decode(encoded, validate=True)


def stamp(key: bytes, timestamp: int, content: bytes) -> str:
    """A signature that stands beside what it covers: `t=<seconds>,v1=<hex>`."""
    return f"t={timestamp},v1={_mac(key, f'{timestamp}.'.encode() + content).hex()}"


def stamped_at(signature: str) -> int | None:
    """The time in such a signature; None where it is not of this form."""
    match = _STAMPED.fullmatch(signature)
    return int(match[1]) if match else None


def is_stamped(keys: Sequence[bytes], signature: str, content: bytes) -> bool:
    """Whether such a signature is of one of the keys."""
    match = _STAMPED.fullmatch(signature)
    if match is None:
        return False
    signed = f"{match[1]}.".encode() + content
    given = [bytes.fromhex(entry.removeprefix("v1=")) for entry in match[2].split(",")[1:]]
    return _is_one_of(given, [_mac(key, signed) for key in keys])


def _is_one_of(given: Sequence[bytes], wanted: Sequence[bytes]) -> bool:
    """Whether one of these is one of those, each compared in constant time."""
    return any(hmac.compare_digest(one, other) for one in given for other in wanted)


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)


class PublishedKeys:
    """The Ed25519 keys that a service publishes as a JWKS. `fetch` gets the document, and raises Away.

    Keys are kept for hours. An unknown signature has them fetched again, but never more often than once a minute:
    whoever invents signatures must not make us ask for keys.
    """

    KEEP_S = 6 * 3600.0
    LOOK_AGAIN_S = 60.0

    def __init__(self, fetch: Callable[[], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Ed25519PublicKey] = []
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._lock = Lock()

    def has_signed(self, content: bytes, signature: bytes) -> bool:
        """Whether one of the keys has signed this. Raises Away while there are no keys and none can be had."""
        with self._lock:
            if self._is_due(self._fetched_at, self.KEEP_S):
                self._renew()
            if self._fits(content, signature):
                return True
            if not self._is_due(self._asked_at, self.LOOK_AGAIN_S):
                return False
            self._renew()
            return self._fits(content, signature)

    def _fits(self, content: bytes, signature: bytes) -> bool:
        for key in self._keys:
            with suppress(InvalidSignature):
                key.verify(signature, content)
                return True
        return False

    def _is_due(self, moment: float, after_s: float) -> bool:
        return self._clock() - moment >= after_s

    def _renew(self) -> None:
        self._asked_at = self._clock()
        try:
            self._keys = list(_keys_in(self._fetch()))
        except Exception:
            # Those that we have are as good as they were a moment ago.
            if not self._keys:
                raise
            return
        self._fetched_at = self._asked_at


def _keys_in(jwks: bytes) -> Iterable[Ed25519PublicKey]:
    """The keys in a JWKS that are of this kind; what cannot be read is none."""
    with suppress(msgspec.DecodeError, AttributeError, TypeError):
        for entry in msgspec.json.decode(jwks).get("keys", []):
            if entry.get("kty") == "OKP":
                with suppress(ValueError):
                    yield Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(str(entry.get("x", "")) + "=="))


def fal_content(request_id: str, user_id: str, timestamp: str, body: bytes) -> bytes:
    """What fal signs."""
    return "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]).encode()
