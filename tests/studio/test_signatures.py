"""Signatures by the reference vectors, and everything that is near one and not it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from studio.errors import Away
from studio.signatures import (
    PublishedKeys,
    fal_content,
    is_signed,
    is_stamped,
    is_timely,
    read_secret,
    read_secrets,
    sign,
    stamp,
    stamped_at,
)

BODY = b'{"task_id":"t1","status":"succeeded"}'
SIGNED_AT = 1763719200
STANDARD_KEY = b64decode("Y29udHJhY3QtdGVzdC1rZXktMDEyMzQ1Njc4OWFiY2Q=")
STANDARD = "v1,sUpYC8G9ptKTIU7tJ38Ry9T+dTz9xrZ8Sd7twACWRSs="
STRIPE = "t=1763719200,v1=7897d294ca08d0fda7593c385309214bf8baf1736df4fc10ab1eae5f8a0c47d3"
OTHER_KEY = bytes(range(32))


def is_vector(
    *,
    keys: tuple[bytes, ...] = (STANDARD_KEY,),
    message_id: str = "msg_test_1",
    timestamp: str = str(SIGNED_AT),
    body: bytes = BODY,
    signatures: str = STANDARD,
) -> bool:
    return is_signed(keys, message_id, timestamp, body, signatures)


def test_standard_webhooks_sign_as_the_official_library_does() -> None:
    assert sign([STANDARD_KEY], "msg_test_1", SIGNED_AT, BODY) == STANDARD
    assert is_vector()


def test_a_stamp_is_the_one_of_the_other_vector() -> None:
    assert stamp(b"testsecret", SIGNED_AT, BODY) == STRIPE
    assert is_stamped([b"testsecret"], STRIPE, BODY)
    assert stamped_at(STRIPE) == SIGNED_AT


@pytest.mark.parametrize(
    "changed",
    [
        {"body": BODY + b" "},
        {"body": b""},
        {"message_id": "msg_test_2"},
        {"timestamp": str(SIGNED_AT + 1)},
        {"timestamp": f"0{SIGNED_AT}"},
        {"keys": (OTHER_KEY,)},
        {"keys": ()},
        {"signatures": ""},
        {"signatures": STANDARD.removeprefix("v1,")},
        {"signatures": STANDARD.replace("v1,", "v1a,")},
        {"signatures": STANDARD.replace("v1,", "v2,")},
        {"signatures": STANDARD.replace("=", "")},
        {"signatures": STANDARD[:-4]},
        {"signatures": "v1,é\u4e2d"},
        {"signatures": "v1,"},
        {"signatures": f"{'v1,AAAA ' * 10}{STANDARD}"},
    ],
    ids=str,
)
def test_what_is_changed_or_unreadable_is_not_signed(changed: dict[str, object]) -> None:
    assert not is_vector(**changed)  # type: ignore[arg-type]


def test_one_good_signature_among_several_is_enough() -> None:
    assert is_vector(signatures=f"v1,AAAA v1a,{'A' * 86}== v1,\u00e9 {STANDARD}")
    assert is_vector(keys=(OTHER_KEY, STANDARD_KEY)), "the secret is being exchanged"
    both = sign([OTHER_KEY, STANDARD_KEY], "msg_test_1", SIGNED_AT, BODY)
    assert is_vector(signatures=both)
    assert is_vector(signatures=both, keys=(OTHER_KEY,))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        STRIPE[:-1],
        STRIPE.upper(),
        STRIPE.replace("t=", "t= "),
        STRIPE.split(",", maxsplit=1)[0],
        f"{STRIPE}\n",
        f"{STRIPE},v0=1",
    ],
)
def test_a_stamp_of_another_form_is_none(signature: str) -> None:
    assert stamped_at(signature) is None
    assert not is_stamped([b"testsecret"], signature, BODY)


def test_a_stamp_covers_time_and_content() -> None:
    assert not is_stamped([b"testsecret"], STRIPE, BODY + b" ")
    assert not is_stamped([b"testsecret"], STRIPE.replace(str(SIGNED_AT), str(SIGNED_AT + 1)), BODY)
    assert not is_stamped([], STRIPE, BODY)
    rotated = f"t={SIGNED_AT},v1={'0' * 64},{STRIPE.split(',')[1]}"
    assert is_stamped([OTHER_KEY, b"testsecret"], rotated, BODY)


@pytest.mark.parametrize(("apart_s", "is_in_time"), [(-300, True), (300, True), (-301, False), (301, False)])
def test_a_time_may_be_five_minutes_off_in_either_direction(apart_s: int, *, is_in_time: bool) -> None:
    assert is_timely(SIGNED_AT + apart_s, SIGNED_AT + 0.9) is is_in_time


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "testsecret",
        "whsec_",
        "whsec_testsecret",
        f"whsec_{b64encode(OTHER_KEY[:23]).decode()}",
        b64encode(OTHER_KEY).decode(),
        f"whsec_{b64encode(OTHER_KEY).decode()[:-1]}",
        f"whsec_{b64encode(bytes(32)).decode()}",
        f"whsec_{b64encode(b'example-' * 4).decode()}",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_Y29udHJhY3QtdGVzdC1rZXktMDEyMzQ1Njc4OWFiY2Q=",
    ],
)
def test_a_secret_that_protects_nothing_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        read_secret(secret)


def test_secrets_are_decoded_and_several_are_separated_by_commas() -> None:
    texts = [f"whsec_{b64encode(key).decode()}" for key in (OTHER_KEY, OTHER_KEY[8:])]
    assert read_secret(texts[0]) == OTHER_KEY
    assert read_secrets(f" {texts[0]}, {texts[1]},") == (OTHER_KEY, OTHER_KEY[8:])
    assert read_secrets("") == ()


class Publisher:
    """A service that publishes its keys, at a time that tests set."""

    def __init__(self) -> None:
        self.keys = [Ed25519PrivateKey.generate()]
        self.fetches = 0
        self.is_away = False
        self.now = 0.0

    def fetch(self) -> bytes:
        self.fetches += 1
        if self.is_away:
            raise Away("no answer")
        told = [{"kty": "RSA", "n": "AQAB"}, {"kty": "OKP", "crv": "Ed25519", "x": "too short"}]
        for key in self.keys:
            x = urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
            told.append({"kty": "OKP", "crv": "Ed25519", "x": x})
        return json.dumps({"keys": told}).encode()

    def published(self) -> PublishedKeys:
        return PublishedKeys(self.fetch, clock=lambda: self.now)


CONTENT = fal_content("request", "user", "1763719200", BODY)


def test_a_signature_of_any_published_key_is_good() -> None:
    publisher = Publisher()
    publisher.keys.append(Ed25519PrivateKey.generate())
    published = publisher.published()
    for key in publisher.keys:
        assert published.has_signed(CONTENT, key.sign(CONTENT))
    assert not published.has_signed(CONTENT + b" ", publisher.keys[0].sign(CONTENT))
    assert publisher.fetches == 1, "keys are kept"


def test_an_unknown_key_has_them_fetched_again_once_a_minute_at_most() -> None:
    publisher = Publisher()
    published = publisher.published()
    assert published.has_signed(CONTENT, publisher.keys[0].sign(CONTENT))
    publisher.keys = [Ed25519PrivateKey.generate()]
    signature = publisher.keys[0].sign(CONTENT)
    for _ in range(5):
        assert not published.has_signed(CONTENT, signature)
    assert publisher.fetches == 1
    publisher.now = 61
    assert published.has_signed(CONTENT, signature)
    assert publisher.fetches == 2


def test_keys_that_we_have_are_used_while_no_new_ones_can_be_had() -> None:
    publisher = Publisher()
    published = publisher.published()
    publisher.is_away = True
    with pytest.raises(Away):
        published.has_signed(CONTENT, publisher.keys[0].sign(CONTENT))
    publisher.is_away = False
    assert published.has_signed(CONTENT, publisher.keys[0].sign(CONTENT))
    publisher.is_away, publisher.now = True, PublishedKeys.KEEP_S + 1
    assert published.has_signed(CONTENT, publisher.keys[0].sign(CONTENT))
