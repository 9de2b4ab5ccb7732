"""All events of one client, through each of the three doors. They are committed by hand, so all of them are known."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from app.client import Json
from broker import run_in_transaction
from studio.records import owner_of
from tests.app.problems import problem_of
from tests.product import Product, new_client


class Events:
    """The log of the client of `http`."""

    def __init__(self, product: Product, http: httpx.Client) -> None:
        self.studio = product.studio
        self.client_id = http.headers["x-client-id"]
        self.owner = owner_of(self.client_id, product.env["OWNER_KEY"])

    def tell(self, *statuses: str, error: Json | None = None) -> None:
        for status in statuses:
            data = {"status": status, "error": error}
            run_in_transaction(
                self.studio.client,
                lambda session, data=data: self.studio.events.append(  # type: ignore[misc]
                    self.owner, "job", job_id="j", data=data, session=session
                ),
            )


@pytest.fixture
def events(product: Product, http: httpx.Client) -> Events:
    return Events(product, http)


def stream(http: httpx.Client, **headers: str) -> Generator[Json, None, None]:
    with http.stream("GET", "/api/v1/events", headers={"Accept": "text/event-stream", **headers}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield from read_events(answer)


def read_events(answer: httpx.Response) -> Generator[Json, None, None]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            event = json.loads(fields["data"])
            assert (str(event["seq"]), event["type"]) == (fields["id"], fields["event"])
            yield event
            fields = {}


def ask(http: httpx.Client, **params: Any) -> Json:
    answer = http.get("/api/v1/events", params=params, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    body: Json = answer.json()
    return body


def open_socket(http: httpx.Client, events: Events, query: str = "", **headers: str) -> ClientConnection:
    address = f"ws://{http.base_url.host}:{http.base_url.port}/api/v1/events{query}"
    return connect(address, additional_headers={"X-Client-Id": events.client_id, **headers})


def receive(connection: ClientConnection) -> Json:
    event: Json = json.loads(connection.recv(timeout=60))
    return event


def statuses(told: list[Json]) -> list[str]:
    return [event["data"]["status"] for event in told]


def test_every_door_tells_the_same(http: httpx.Client, events: Events) -> None:
    events.tell("queued", "running")
    asked = ask(http, since=0)["items"]
    streamed = stream(http, **{"Last-Event-ID": "0"})
    with open_socket(http, events, "?since=0") as connection:
        assert asked == [next(streamed), next(streamed)] == [receive(connection), receive(connection)]
        events.tell("succeeded")
        assert next(streamed) == receive(connection) == ask(http, since=2)["items"][0]
    streamed.close()
    assert asked[0].keys() == {"type", "data", "timestamp", "seq"}
    assert [event["seq"] for event in asked] == [1, 2]
    assert asked[0]["data"] == {"jobId": "j", "status": "queued", "error": None}


def test_without_a_number_it_begins_now_and_says_where_that_is(http: httpx.Client, events: Events) -> None:
    events.tell("queued", "running")
    streamed = stream(http)
    assert (start := next(streamed))["type"] == "start"
    with open_socket(http, events) as connection:
        assert receive(connection) | {"timestamp": ""} == start | {"timestamp": ""}
        assert (start["seq"], start["data"]) == (2, {})
        assert ask(http)["since"] == 2
        events.tell("succeeded")
        assert next(streamed)["seq"] == receive(connection)["seq"] == 3
    streamed.close()


def test_asking_with_the_number_of_the_answer_before_misses_nothing(http: httpx.Client, events: Events) -> None:
    told: list[Json] = []
    since = ask(http)["since"]
    for _ in range(3):
        events.tell("queued", "running")
        page = ask(http, since=since)
        told += page["items"]
        since = page["since"]
    assert [event["seq"] for event in told] == [1, 2, 3, 4, 5, 6]
    assert ask(http, since=since) == {"items": [], "since": 6}


def test_the_header_goes_before_the_address(http: httpx.Client, events: Events) -> None:
    events.tell("queued", "running", "succeeded")
    answer = http.get("/api/v1/events?since=0", headers={"Accept": "application/json", "Last-Event-ID": "2"})
    assert statuses(answer.json()["items"]) == ["succeeded"]


def test_nobody_is_told_of_somebody_elses_things(
    http: httpx.Client, events: Events, web: str, product: Product
) -> None:
    events.tell("queued")
    with new_client(web) as stranger:
        assert ask(stranger._api, since=0)["items"] == []
        streamed = stream(stranger._api)
        assert next(streamed)["seq"] == 0
        events.tell("running")
        Events(product, stranger._api).tell("mine")
        assert next(streamed)["data"]["status"] == "mine"
        streamed.close()


def test_errors_are_told_in_the_watchers_language(http: httpx.Client, events: Events) -> None:
    events.tell("failed", error={"symbol": "AUDIO_TOO_LONG", "params": {"seconds": 300, "max_seconds": 180}})
    english, chinese = (next(stream(http, **{"Last-Event-ID": "0", "Accept-Language": name})) for name in ("en", "zh"))
    assert "lasts 300 s" in english["data"]["error"]["message"]
    assert "300 秒" in chinese["data"]["error"]["message"]


@pytest.mark.parametrize("since", ["-1", "abc", "1.5", "9" * 30])
def test_a_number_that_is_none_is_refused(http: httpx.Client, since: str) -> None:
    problem_of(http.get("/api/v1/events", params={"since": since}), "INVALID_INPUT")


def test_who_says_nothing_of_itself_is_refused_at_every_door(web: str) -> None:
    with httpx.Client(base_url=web) as nobody:
        problem_of(nobody.get("/api/v1/events"), "CLIENT_ID_REQUIRED")
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{web.replace('http', 'ws')}/api/v1/events")
    assert refused.value.response.status_code == 403


def test_a_socket_that_speaks_is_not_listened_to(http: httpx.Client, events: Events) -> None:
    with open_socket(http, events) as connection:
        assert receive(connection)["type"] == "start"
        for message in ("{}", "not JSON", b"\x00", "x" * 10_000):
            connection.send(message)
        events.tell("queued")
        assert receive(connection)["seq"] == 1


def test_a_browser_opens_streams_with_a_ticket(http: httpx.Client, events: Events, web: str) -> None:
    events.tell("queued")
    query = f"?since=0&ticket={http.post('/api/v1/tickets').json()['ticket']}"
    with connect(f"{web.replace('http', 'ws')}/api/v1/events{query}") as connection:
        assert receive(connection)["seq"] == 1
    with httpx.Client(base_url=web) as browser, browser.stream("GET", f"/api/v1/events{query}") as answer:
        assert next(read_events(answer))["seq"] == 1
