"""Which callbacks are let in, with a clock that stands still. Nothing is served here, and nothing stored."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.datastructures import Headers

from app.callbacks import CallbackChecks
from studio.callbacks import callback_url, submission_of, token_of
from studio.errors import Away, StudioError
from studio.providers import cards
from studio.records import new_id
from studio.settings import Settings
from studio.signatures import fal_content, sign, stamp

NOW = 1763719200
KEY, NEW_KEY = bytes(range(32)), bytes(range(100, 132))
SECRET, NEW_SECRET = (f"whsec_{b64encode(key).decode()}" for key in (KEY, NEW_KEY))
BODY = b'{"task_id": "t1", "status": "succeeded"}'
FAL = Ed25519PrivateKey.generate()

Given = list[tuple[str, str]]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TASK_WEBHOOK_SECRETS", f"{NEW_SECRET}, {SECRET}")
    monkeypatch.setenv("KLING_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("OWNER_KEY", "a key of the tests")
    monkeypatch.setenv("PUBLIC_URL", "https://huaban.example")
    return Settings()


def fetch_fal_keys() -> bytes:
    x = urlsafe_b64encode(FAL.public_key().public_bytes_raw()).decode()
    return json.dumps({"keys": [{"kty": "OKP", "x": x}]}).encode()


@pytest.fixture
def checks(settings: Settings) -> CallbackChecks:
    return CallbackChecks(settings, fetch_fal_keys=fetch_fal_keys, clock=lambda: NOW)


def headers_of(given: Given) -> Headers:
    return Headers([(name.encode(), value.encode("latin-1")) for name, value in given])


def signed(body: bytes = BODY, *, key: bytes = KEY, message_id: str = "msg_1", at: int = NOW) -> Given:
    return [
        ("webhook-id", message_id),
        ("webhook-timestamp", str(at)),
        ("webhook-signature", sign([key], message_id, at, body)),
    ]


def symbol_of(call: Callable[[], object]) -> str:
    try:
        call()
    except StudioError as error:
        return error.symbol
    return ""


def of_task(checks: CallbackChecks, given: Given, body: bytes = BODY) -> str:
    return symbol_of(lambda: checks.of_task(headers_of(given), body))


def test_a_sender_of_tasks_is_known_by_any_of_its_secrets(checks: CallbackChecks) -> None:
    for key in (KEY, NEW_KEY):
        callback = checks.of_task(headers_of(signed(key=key)), BODY)
        assert (callback.sender, callback.id, callback.names) == ("task_complete", "msg_1", "t1")


@pytest.mark.parametrize(
    ("apart_s", "symbol"), [(-300, ""), (300, ""), (-301, "WEBHOOK_REFUSED"), (301, "WEBHOOK_REFUSED")]
)
def test_a_signature_is_good_for_five_minutes_before_and_after(
    checks: CallbackChecks, apart_s: int, symbol: str
) -> None:
    assert of_task(checks, signed(at=NOW + apart_s)) == symbol
    assert of_task(checks, [], in_the_body(at=NOW + apart_s)) == symbol


def changed(name: str, value: str) -> Given:
    return [(one, value if one == name else given) for one, given in signed()]


@pytest.mark.parametrize(
    ("given", "body", "symbol"),
    [
        (signed(), BODY + b" ", "WEBHOOK_REFUSED"),
        (signed(key=bytes(32)), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-id", "msg_2"), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-timestamp", str(NOW + 1)), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-signature", "v1,é"), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-signature", "v1a," + "A" * 86 + "=="), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-signature", ""), BODY, "WEBHOOK_REFUSED"),
        (changed("webhook-id", "msg.1"), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-id", ""), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-id", "m" * 129), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-timestamp", f"{NOW}.0"), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-timestamp", f"-{NOW}"), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-timestamp", "1" * 13), BODY, "WEBHOOK_MALFORMED"),
        (changed("webhook-timestamp", "²"), BODY, "WEBHOOK_MALFORMED"),
        *((signed()[:number] + signed()[number + 1 :], BODY, "WEBHOOK_MALFORMED") for number in range(3)),
        *(([*signed(), one], BODY, "WEBHOOK_MALFORMED") for one in signed()),
    ],
)
def test_headers_that_are_not_right_are_refused(checks: CallbackChecks, given: Given, body: bytes, symbol: str) -> None:
    assert of_task(checks, given, body) == symbol


def in_the_body(*, at: int = NOW, key: bytes = KEY, **changed: Any) -> bytes:
    """Plan 004's form."""
    content = b"t1\n1\nsucceeded"
    return json.dumps(
        {
            "task_id": "t1",
            "status": "succeeded",
            "result": {"url": "x"},
            "signature": stamp(key, at, content),
            **changed,
        }
    ).encode()


def test_a_body_may_carry_its_own_signature(checks: CallbackChecks) -> None:
    callback = checks.of_task(headers_of([]), in_the_body())
    assert (callback.names, callback.id) == ("t1", "t1\n1\nsucceeded")
    assert checks.of_task(headers_of([]), in_the_body(result={"url": "another"})) == callback, "it means nothing here"
    assert checks.of_task(headers_of([]), in_the_body(key=NEW_KEY, attempt=1)) == callback


@pytest.mark.parametrize(
    ("changed", "symbol"),
    [
        ({"task_id": "t2"}, "WEBHOOK_REFUSED"),
        ({"status": "failed"}, "WEBHOOK_REFUSED"),
        ({"attempt": 2}, "WEBHOOK_REFUSED"),
        ({"key": bytes(32)}, "WEBHOOK_REFUSED"),
        ({"signature": stamp(KEY, NOW, b"t1\nsucceeded")}, "WEBHOOK_REFUSED"),
        ({"signature": ""}, "WEBHOOK_MALFORMED"),
        ({"signature": None}, "WEBHOOK_MALFORMED"),
        ({"signature": sign([KEY], "t1", NOW, b"")}, "WEBHOOK_MALFORMED"),
        ({"task_id": "t1\n1"}, "WEBHOOK_MALFORMED"),
        ({"task_id": 1}, "WEBHOOK_MALFORMED"),
        ({"attempt": True}, "WEBHOOK_MALFORMED"),
        ({"attempt": 0}, "WEBHOOK_MALFORMED"),
        ({"status": "succeeded\n"}, "WEBHOOK_MALFORMED"),
    ],
    ids=str,
)
def test_a_signature_in_the_body_covers_all_that_counts(
    checks: CallbackChecks, changed: dict[str, Any], symbol: str
) -> None:
    assert of_task(checks, [], in_the_body(**changed)) == symbol


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"task_id": "t1"}',
        b'{"task_id": "t1", "status": "a", "status": "b"}',
        b'{"task_id": "t1", "status": "a", "result": {"x": 1, "x": 2}}',
        b'{"task_id": "\\ud800", "status": "a"}',
        b'{"task_id": "t1", "status": "\xff"}',
        b"[" * 100_000,
        b'{"task_id": "t1", "status": "a", "n": ' + b"1" * 5000 + b"}",
    ],
    ids=lambda body: str(body[:60]),
)
def test_what_is_signed_and_no_object_of_ours_is_malformed(checks: CallbackChecks, body: bytes) -> None:
    assert of_task(checks, signed(body), body) == "WEBHOOK_MALFORMED"
    assert of_task(checks, [], body) == "WEBHOOK_MALFORMED"


def test_fields_that_nobody_knows_are_ignored(checks: CallbackChecks) -> None:
    body = b'{"task_id": "t1", "status": "a", "extra": [{"x": 1}, {"x": 1}]}'
    assert of_task(checks, signed(body), body) == ""


def test_without_a_secret_nobody_may_say_anything() -> None:
    checks = CallbackChecks(Settings(), clock=lambda: NOW)
    assert of_task(checks, signed()) == "WEBHOOK_NOT_CONFIGURED"
    assert symbol_of(checks.expect_tasks) == "WEBHOOK_NOT_CONFIGURED"


def test_a_deployment_does_not_start_with_a_secret_that_protects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_WEBHOOK_SECRET", "whsec_c2hvcnQ=")
    with pytest.raises(ValueError, match="NODE_WEBHOOK_SECRET"):
        CallbackChecks(Settings())
    monkeypatch.setenv("TASK_WEBHOOK_SECRETS", f"{SECRET},whsec_c2hvcnQ=")
    with pytest.raises(ValueError, match="random bytes") as error:
        Settings()
    assert "c2hvcnQ" not in str(error.value), "nobody's secret goes into a log"


def test_an_address_belongs_to_one_call_of_one_provider(settings: Settings) -> None:
    call = new_id()
    url = callback_url(settings, cards.load("ark", settings), call)
    assert url
    assert url.startswith("https://huaban.example/api/webhook/ark/")
    token = url.rpartition("/")[2]
    assert submission_of(settings, "ark", token) == call
    assert submission_of(settings, "kling", token) is None
    assert submission_of(settings.model_copy(update={"owner_key": settings.s3_secret_access_key}), "ark", token) is None
    forged = [
        f"{new_id()}.{token.partition('.')[2]}",
        token[:-1],
        f"{token}A",
        call,
        f"{call}.",
        "",
        ".",
        "é",
        f"{call}.é",
    ]
    assert [submission_of(settings, "ark", one) for one in forged] == [None] * len(forged)
    assert len(token.partition(".")[2]) * 6 >= 128, "bits that nobody can guess"


@pytest.mark.parametrize(
    ("provider", "changed"),
    [
        ("runway", {}),
        ("local", {}),
        ("ark", {"public_url": ""}),
        ("ark", {"public_url": "http://huaban.example"}),
        ("ark", {"owner_key": Settings(owner_key="").owner_key}),  # type: ignore[arg-type]
    ],
)
def test_where_nobody_could_call_back_there_is_no_address(
    settings: Settings, provider: str, changed: dict[str, Any]
) -> None:
    card = None if provider == "local" else cards.load(provider, settings)
    assert callback_url(settings.model_copy(update=changed), card, new_id()) is None


def of_provider(
    checks: CallbackChecks, settings: Settings, provider: str, given: Given, body: bytes = b"{}", *, token: str = ""
) -> str:
    token = token or token_of(settings, provider, new_id())
    return symbol_of(lambda: checks.of_provider(provider, token, headers_of(given), body))


def test_a_provider_that_signs_has_to_sign_right(checks: CallbackChecks, settings: Settings) -> None:
    assert of_provider(checks, settings, "kling", signed(b"{}")) == ""
    assert of_provider(checks, settings, "kling", signed(b"{ }")) == "WEBHOOK_REFUSED"
    assert of_provider(checks, settings, "kling", []) == "WEBHOOK_MALFORMED"
    assert of_provider(checks, settings, "kling", signed(b"{}"), token="wrong") == "WEBHOOK_REFUSED"
    assert of_provider(checks, settings, "node", []) == "", "no secret was agreed on"
    assert of_provider(checks, settings, "ark", [], b"no object") == "WEBHOOK_MALFORMED"
    assert of_provider(checks, settings, "runway", []) == "NOT_FOUND"


def by_fal(body: bytes = b"{}", *, at: int = NOW, **changed: str) -> Given:
    given = {"request-id": "r-1", "user-id": "u|1", "timestamp": str(at)}
    given["signature"] = FAL.sign(fal_content("r-1", "u|1", str(at), body)).hex()
    return [(f"x-fal-webhook-{name}", value) for name, value in {**given, **changed}.items()]


@pytest.mark.parametrize(
    ("given", "body", "symbol"),
    [
        (by_fal(), b"{}", ""),
        (by_fal(at=NOW - 300), b"{}", ""),
        (by_fal(at=NOW - 301), b"{}", "WEBHOOK_REFUSED"),
        (by_fal(), b"{ }", "WEBHOOK_REFUSED"),
        (by_fal(signature="00" * 64), b"{}", "WEBHOOK_REFUSED"),
        (by_fal(signature="xyz"), b"{}", "WEBHOOK_REFUSED"),
        (by_fal(timestamp="soon"), b"{}", "WEBHOOK_MALFORMED"),
        (by_fal()[1:], b"{}", "WEBHOOK_MALFORMED"),
        ([*by_fal(), by_fal()[0]], b"{}", "WEBHOOK_MALFORMED"),
        (signed(b"{}"), b"{}", "WEBHOOK_MALFORMED"),
    ],
)
def test_fal_signs_with_a_key_that_it_publishes(
    checks: CallbackChecks, settings: Settings, given: Given, body: bytes, symbol: str
) -> None:
    assert of_provider(checks, settings, "pika", given, body) == symbol


def test_while_fals_keys_cannot_be_had_it_is_asked_to_come_again(settings: Settings) -> None:
    def away() -> bytes:
        raise Away("no answer")

    checks = CallbackChecks(settings, fetch_fal_keys=away, clock=lambda: NOW)
    assert of_provider(checks, settings, "pika", by_fal()) == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize(
    ("provider", "body", "hint"),
    [
        ("ark", {"id": "cgt-2026-abc", "status": "running"}, "cgt-2026-abc"),
        ("ark", {"id": "../other"}, None),
        ("ark", {"id": 7}, None),
        ("ark", {}, None),
        ("kling-legacy", {"task_id": "812", "task_status": "succeed"}, "812"),
        ("kling-legacy", {"code": 0, "data": {"task_id": "812"}}, "812"),
        ("kling-legacy", {"data": "812"}, None),
        ("node", {"id": "job_1"}, "job_1"),
    ],
)
def test_a_callback_tells_under_which_id_the_provider_has_the_call(
    checks: CallbackChecks, settings: Settings, provider: str, body: dict[str, Any], hint: str | None
) -> None:
    token = token_of(settings, provider, new_id())
    assert checks.of_provider(provider, token, headers_of([]), json.dumps(body).encode()).hinted_id == hint
