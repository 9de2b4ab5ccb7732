from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from litestar import Litestar, WebSocket, websocket
from litestar.di import NamedDependency, Provide
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from pydantic import SecretStr

from app.client import Client, Refused
from app.identity import SINGLE_CLIENT, Identity
from app.tokens import Tokens
from studio.settings import AuthMode, Settings
from tests.app.problems import problem_of
from tests.product import Product, new_artwork, new_client, serving_with

PATHS = [
    ("POST", "/init"),
    ("POST", "/api/v1/tickets"),
    ("POST", "/upload/presign"),
    ("POST", "/media/commit"),
    ("POST", "/artworks"),
    ("GET", "/artworks/some-id"),
    ("GET", "/gallery"),
    ("POST", "/generation/jobs"),
    ("GET", "/generation/jobs/some-id"),
    ("GET", "/generation/jobs/some-id/events"),
    ("POST", "/generation/jobs/some-id/retry"),
    ("GET", "/ai/analyses/some-id"),
]
SECRETS = (SecretStr("tests-sign-their-tokens-with-this-one"),)
BODIES: dict[str, dict[str, object]] = {
    "/upload/presign": {"type": "image", "mime": "image/png", "size": 1},
    "/media/commit": {"key": "some-key"},
}


@pytest.fixture
def anonymous(web: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web) as browser:
        yield browser


@pytest.fixture(scope="module")
def single(product: Product) -> Iterator[httpx.Client]:
    """A deployment for one family on one machine."""
    with serving_with(product, auth_mode=AuthMode.SINGLE) as url, httpx.Client(base_url=url) as browser:
        yield browser


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_call_names_its_client(anonymous: httpx.Client, method: str, path: str) -> None:
    answer = anonymous.request(method, path, json=BODIES.get(path, {}) if method == "POST" else None)
    problem_of(answer, "CLIENT_ID_REQUIRED")


def test_health_needs_no_client(anonymous: httpx.Client) -> None:
    assert "checks" in anonymous.get("/healthz").json()


@pytest.mark.parametrize(
    "client_id",
    ["", "short", "x" * 65, "with a space in it", "dots.are.not.taken", "画伴画伴画伴画伴画伴", "a" * 12 + "\t\tb"],
)
def test_a_malformed_client_id_is_refused(anonymous: httpx.Client, client_id: str) -> None:
    problem_of(anonymous.get("/gallery", headers={b"X-Client-Id": client_id.encode()}), "CLIENT_ID_INVALID")


def test_two_client_ids_in_one_call_are_refused(anonymous: httpx.Client) -> None:
    headers = [("X-Client-Id", "a" * 12), ("X-Client-Id", "b" * 12)]
    problem_of(anonymous.get("/gallery", headers=headers), "CLIENT_ID_INVALID")


@pytest.mark.parametrize("client_id", ["0123456789", "V1StGXR8_Z5jdHi6B-myT", "x" * 64])
def test_ids_as_nanoid_makes_them_are_taken(anonymous: httpx.Client, client_id: str) -> None:
    assert anonymous.post("/init", headers={"X-Client-Id": client_id}).status_code == 200


def test_a_client_that_comes_again_is_the_same_one(http: httpx.Client) -> None:
    first, second = http.post("/init").json(), http.post("/init").json()
    assert second["registeredAt"] == first["registeredAt"]
    assert second["lastSeenAt"] >= first["lastSeenAt"]


def test_init_tells_every_limit(http: httpx.Client, product: Product) -> None:
    told = http.post("/init").json()
    assert set(told["uploads"]) == {"image", "audio", "video"}
    assert all(limits["mimeTypes"] and limits["maxBytes"] for limits in told["uploads"].values())
    assert told["uploads"]["image"]["maxPixels"] == 50_000_000
    assert told["presignExpiresS"] == product.studio.settings.presign_expires_s
    assert told["storyMaxCharacters"] == 2000


def test_the_client_id_itself_is_stored_nowhere(http: httpx.Client, product: Product) -> None:
    http.post("/init")
    http.post("/artworks", json={"title": "Fox"})
    database = product.studio.database
    stored = str([list(database[name].find()) for name in database.list_collection_names()])
    assert http.headers["x-client-id"] not in stored


def test_one_family_on_one_machine_needs_no_client_id(single: httpx.Client) -> None:
    made = single.post("/artworks", json={"title": "Fox"}).json()
    assert single.get(f"/artworks/{made['artworkId']}").json()["title"] == "Fox"


def test_a_named_client_of_a_single_deployment_keeps_to_itself(single: httpx.Client) -> None:
    made = single.post("/artworks", json={"title": "Fox"}).json()
    answer = single.get(f"/artworks/{made['artworkId']}", headers={"X-Client-Id": "somebody-else"})
    problem_of(answer, "NOT_FOUND")


def test_a_malformed_client_id_is_refused_in_single_mode_too(single: httpx.Client) -> None:
    problem_of(single.get("/gallery", headers={"X-Client-Id": "short"}), "CLIENT_ID_INVALID")


def test_nobody_can_name_the_one_family(single: httpx.Client, anonymous: httpx.Client) -> None:
    for browser in (single, anonymous):
        problem_of(browser.get("/gallery", headers={"X-Client-Id": SINGLE_CLIENT}), "CLIENT_ID_INVALID")


@pytest.fixture(scope="module")
def guarded(product: Product) -> Iterator[httpx.Client]:
    """A deployment whose calls carry tokens."""
    with (
        serving_with(product, auth_mode=AuthMode.TOKEN, token_secrets=SECRETS) as url,
        httpx.Client(base_url=url) as browser,
    ):
        yield browser


@pytest.fixture
def token(guarded: httpx.Client) -> str:
    """Of somebody new."""
    answer = guarded.post("/init", headers={"X-Client-Id": secrets.token_urlsafe(16)}).json()
    assert datetime.fromisoformat(answer["tokenExpiresAt"]) > datetime.now(UTC) + timedelta(hours=23)
    return str(answer["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("method", "path"), [call for call in PATHS if call[1] != "/init"])
def test_where_calls_carry_tokens_a_client_id_is_not_enough(guarded: httpx.Client, method: str, path: str) -> None:
    body = BODIES.get(path, {}) if method == "POST" else None
    answer = guarded.request(method, path, json=body, headers={"X-Client-Id": "a-client-of-it"})
    problem_of(answer, "TOKEN_REQUIRED")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_tells_who_is_calling(guarded: httpx.Client, token: str) -> None:
    made = guarded.post("/artworks", json={"title": "Fox"}, headers=bearer(token)).json()
    assert guarded.get(f"/artworks/{made['artworkId']}", headers=bearer(token)).json()["title"] == "Fox"
    stranger = guarded.post("/init", headers={"X-Client-Id": "somebody-else"}).json()["token"]
    problem_of(guarded.get(f"/artworks/{made['artworkId']}", headers=bearer(stranger)), "NOT_FOUND")


def test_a_token_is_the_client_that_it_was_given_to(guarded: httpx.Client, http: httpx.Client) -> None:
    made = http.post("/artworks", json={"title": "Fox"}).json()
    token = guarded.post("/init", headers={"X-Client-Id": http.headers["x-client-id"]}).json()["token"]
    assert guarded.get(f"/artworks/{made['artworkId']}", headers=bearer(token)).status_code == 200


def test_a_token_is_renewed_by_a_token(guarded: httpx.Client, token: str) -> None:
    renewed = guarded.post("/init", headers=bearer(token)).json()["token"]
    gallery = [guarded.get("/gallery", headers=bearer(each)).json() for each in (token, renewed)]
    assert gallery[0] == gallery[1]


def test_our_own_client_asks_for_a_token_by_itself(guarded: httpx.Client) -> None:
    with new_client(str(guarded.base_url).rstrip("/")) as client:
        made = client.post("/artworks", {"title": "Fox"})
        client._api.auth._token = expired()  # type: ignore[union-attr]
        assert client.get(f"/artworks/{made['artworkId']}")["title"] == "Fox"


def test_our_own_client_hears_what_is_wrong_with_it(guarded: httpx.Client) -> None:
    with (
        Client(str(guarded.base_url).rstrip("/"), "short") as client,
        pytest.raises(Refused, match="CLIENT_ID_INVALID"),
    ):
        client.get("/gallery")


def test_init_gives_no_token_where_calls_carry_none(http: httpx.Client) -> None:
    told = http.post("/init").json()
    assert (told["token"], told["tokenExpiresAt"]) == (None, None)


def expired() -> str:
    issued = datetime.now(UTC) - timedelta(days=2)
    claims = {"sub": "somebody", "aud": "huaban", "iat": issued, "exp": issued + timedelta(days=1)}
    return jwt.encode(claims, SECRETS[0].get_secret_value(), "HS256")


@pytest.mark.parametrize("path", ["/init", "/api/v1/tickets"])
@pytest.mark.parametrize(
    ("sent", "symbol"),
    [("Bearer nothing", "TOKEN_INVALID"), ("bearer", "TOKEN_INVALID"), (f"Bearer {expired()}", "TOKEN_EXPIRED")],
)
def test_a_token_that_is_no_good_is_never_made_good_by_a_client_id(
    guarded: httpx.Client, path: str, sent: str, symbol: str
) -> None:
    answer = guarded.post(path, headers={"Authorization": sent, "X-Client-Id": "a-client-of-it"})
    problem_of(answer, symbol)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_two_tokens_in_one_call_are_refused(guarded: httpx.Client, token: str) -> None:
    headers = 2 * [("Authorization", f"Bearer {token}")]
    problem_of(guarded.get("/gallery", headers=headers), "TOKEN_INVALID")


def test_a_token_counts_where_client_ids_do_too(product: Product, token: str) -> None:
    with serving_with(product, token_secrets=SECRETS) as url, httpx.Client(base_url=url) as browser:
        assert browser.get("/gallery", headers=bearer(token)).status_code == 200
        problem_of(browser.get("/gallery", headers={**bearer("no"), "X-Client-Id": "a" * 12}), "TOKEN_INVALID")


def test_a_proxys_password_is_no_token(http: httpx.Client) -> None:
    assert http.get("/gallery", headers={"Authorization": "Basic cHJveHk6cGFzc3dvcmQ="}).status_code == 200


def test_a_ticket_opens_a_stream_and_nothing_else(
    client: Client, http: httpx.Client, anonymous: httpx.Client, drawing: Path
) -> None:
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    made = http.post("/api/v1/tickets")
    assert made.status_code == 201
    assert made.json()["expiresInS"] == 60
    ticket = {"ticket": made.json()["ticket"]}
    events = f"/generation/jobs/{job['jobId']}/events"
    assert anonymous.head(events, params=ticket).status_code == 200
    problem_of(anonymous.get(f"/generation/jobs/{job['jobId']}", params=ticket), "CLIENT_ID_REQUIRED")
    problem_of(anonymous.get("/gallery", headers=bearer(ticket["ticket"])), "TOKEN_INVALID")
    for wrong in ("no ticket", f"{ticket['ticket']}x"):
        problem_of(http.get(events, params={"ticket": wrong}), "TICKET_INVALID")


def test_a_ticket_is_somebodys(client: Client, http: httpx.Client, web: str, drawing: Path) -> None:
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    with new_client(web) as stranger:
        ticket = stranger.post("/api/v1/tickets")["ticket"]
    answer = http.get(f"/generation/jobs/{job['jobId']}/events", params={"ticket": ticket})
    problem_of(answer, "NOT_FOUND")


def test_a_token_in_an_address_is_no_ticket(guarded: httpx.Client, token: str) -> None:
    problem_of(guarded.get("/generation/jobs/some-job/events", params={"ticket": token}), "TICKET_INVALID")


def test_a_socket_knows_its_caller_by_a_ticket() -> None:
    settings = Settings(owner_key=SecretStr("tests"))
    tokens = Tokens(settings)

    @websocket("/socket", takes_ticket=True)
    async def greet(socket: WebSocket[Any, Any, Any], owner: NamedDependency[str]) -> None:
        await socket.accept()
        await socket.send_text(owner)
        await socket.close()

    owner = Provide(Identity(settings, tokens).provide_owner, sync_to_thread=False)
    app = Litestar([greet], dependencies={"owner": owner}, logging_config=None)
    ticket = tokens.issue_ticket("somebody").text
    with TestClient(app) as browser, browser.websocket_connect(f"/socket?ticket={ticket}") as socket:
        assert socket.receive_text() == "somebody"
    refused = pytest.raises(WebSocketDisconnect)
    with TestClient(app) as browser, refused, browser.websocket_connect("/socket?ticket=none"):
        pass


@pytest.mark.parametrize(("key", "is_short"), [("fifteen letters", True), ("sixteen letters!", False)])
def test_a_key_that_can_be_guessed_is_complained_about(
    product: Product, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, key: str, is_short: bool
) -> None:
    from app.application import create_app

    changed = product.studio.settings.model_copy(update={"owner_key": SecretStr(key)})
    monkeypatch.setattr(product.studio, "settings", changed)
    create_app(product.studio, product.broker)
    assert ("owner_key_short" in caplog.text) is is_short
    assert key not in caplog.text
