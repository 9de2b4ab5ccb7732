"""Every id that a route takes, tried with somebody else's, in every way of saying who is calling.

The routes are those of the API's own description: a new one is tried here by itself, and when it names something that
`belongings` does not hold, these tests fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import httpx
import pytest
from pydantic import SecretStr

from app.client import Client, Json
from app.stack import Servers
from studio.settings import AuthMode
from tests.app.described import Operation, Slot, call_of, operations
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_client, serving_with
from tests.studio.made import tone, wav

# Beside the least that is accepted: what these operations need for anything to come of a call.
ALSO: dict[str, Json] = {
    "POST /generation/jobs": {"text": "A fox flies."},
    "POST /upload": {"file": picture()},
    "POST /artworks/{artworkId}/audio/presign": {"mime": "audio/wav"},
    "POST /artworks/{artworkId}/transcribe": {"text": "A fox flies."},
    "PATCH /artworks/{artworkId}": {"title": "Owl"},
}
# What one and the same name means to different operations.
MEANINGS = {
    ("/media/commit", "key"): "waiting_key",
    ("/media/{key}", "key"): "image_key",
    ("/generation/jobs/from-key", "key"): "image_key",
    ("/artworks/by-video-key", "key"): "film_key",
}
# What these name is nobody's in particular.
UNOWNED = {
    "GET /api/v1/privacy/receipts/{receiptId}",
    "POST /api/webhook/task_complete",
    "POST /api/webhook/{provider}/{token}",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

SECRETS = (SecretStr("tests-sign-their-tokens-with-this-one"),)
MODES: dict[str, Json] = {
    "client": {},
    "single": {"auth_mode": AuthMode.SINGLE},
    "token": {"auth_mode": AuthMode.TOKEN, "token_secrets": SECRETS},
}


class Person:
    """A client that has one of everything."""

    def __init__(self, client: Client, recording: Any) -> None:
        self.client = client
        self.id = client._api.headers["x-client-id"]
        drawing = client.post("/media/commit", put(client, picture()))
        voice = client.upload(recording, "audio", artwork_id=drawing["artworkId"])
        fields = {"coverAssetId": drawing["mediaAssetId"], "audioAssetId": voice["mediaAssetId"]}
        artwork = client.post("/artworks", {"title": "Fox", "description": "A fox flies.", **fields})
        job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
        assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
        self.belongings: dict[str, str] = {
            "artwork_id": artwork["artworkId"],
            "job_id": job["jobId"],
            "cover_asset_id": drawing["mediaAssetId"],
            "audio_asset_id": voice["mediaAssetId"],
            "avatar_asset_id": drawing["mediaAssetId"],
            "image_key": drawing["key"],
            "audio_key": voice["key"],
            "film_key": key_of(client.get(f"/artworks/{artwork['artworkId']}")["videoUrl"]),
            "waiting_key": put(client, picture())["key"],
        }

    def called_for(self, operation: Operation) -> dict[Slot, str]:
        """Things of this person's for every place that an operation cannot do without."""
        needed = (slot for slot in operation.slots if slot.where == "path" or slot.name in operation.body)
        return {slot: self.thing(operation, slot) for slot in needed}

    def thing(self, operation: Operation, slot: Slot) -> str:
        """What of this person's the slot would take."""
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in slot.name)
        name = MEANINGS.get((operation.path, slot.name), name)
        assert name in self.belongings, f"{operation} names a {name}: give `Person` one, for this test to try"
        return self.belongings[name]


@pytest.fixture(scope="module")
def people(web: str, product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    """Two families: the one that calls, and the one whose things it names."""
    product.service.forget()
    recording = wav(tmp_path_factory.mktemp("voice") / "story.wav", tone(1))
    worker = dramatiq.Worker(product.broker, worker_threads=2, worker_timeout=100)
    worker.start()
    with new_client(web) as one, new_client(web) as other:
        made = Person(one, recording), Person(other, recording)
        # What is ordered from here on is not done, so that only calls change anything.
        worker.stop()
        yield made
    product.forget()


@pytest.fixture(scope="module")
def places(web: str) -> list[tuple[Operation, Slot]]:
    """Where a client's things are named, in the operations last that take something away."""
    found = operations(httpx.get(f"{web}/schema/openapi.json").json())
    owned = [operation for operation in found if str(operation) not in UNOWNED]
    owned.sort(key=lambda operation: METHODS.index(operation.method))
    able = [replace(operation, body=operation.body | ALSO.get(str(operation), {})) for operation in owned]
    return [(operation, slot) for operation in able for slot in operation.slots]


@contextmanager
def calling(url: str, caller: Person, *, by_token: bool = False) -> Iterator[Callable[..., httpx.Response]]:
    """Calls of one person at a deployment."""
    with httpx.Client(base_url=url) as http:
        headers = {"X-Client-Id": caller.id}
        if by_token:
            token = http.post("/init", headers=headers).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}

        def call(operation: Operation, named: dict[Slot, str], **more: str) -> httpx.Response:
            return http.request(**call_of(operation, named), headers={**headers, **more})

        yield call


@pytest.mark.parametrize("mode", MODES)
def test_somebody_elses_things_are_not_there(
    product: Product, servers: Servers, people: tuple[Person, Person], places: list[tuple[Operation, Slot]], mode: str
) -> None:
    caller, stranger = people
    traces = Traces(stranger.id, servers, product)
    before = everything(product, traces)
    # Who carries a token is who it says, whatever else a call says.
    also = {"X-Client-Id": stranger.id} if mode == "token" else {}
    wrong = []
    with serving_with(product, **MODES[mode]) as url, calling(url, caller, by_token=mode == "token") as call:
        for operation, slot in places:
            foreign = {slot: stranger.thing(operation, slot)}
            answer = call(operation, caller.called_for(operation) | foreign, **also)
            if not is_nothing(answer, slot):
                wrong.append(f"{operation} with a foreign {slot.name}: {answer.status_code} {answer.text}")
    assert len(places) > 10, "the description was read"
    assert not wrong
    assert everything(product, traces) == before, "and nobody has touched them"


def test_ones_own_things_are_there(
    people: tuple[Person, Person], places: list[tuple[Operation, Slot]], web: str
) -> None:
    """Or else the test above would prove nothing."""
    caller, _ = people
    missing = []
    with calling(web, caller) as call:
        for operation, slot in places:
            answer = call(operation, caller.called_for(operation) | {slot: caller.thing(operation, slot)})
            if answer.status_code >= 500 or (answer.status_code == 404 and '"NOT_FOUND"' in answer.text):
                missing.append(f"{operation} with {slot.name}: {answer.status_code}")
    assert not missing


def key_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/media/")


def is_nothing(answer: httpx.Response, slot: Slot) -> bool:
    """Whether an answer is the same as for a thing that there is not. A list may be empty instead."""
    if slot.where == "query" and answer.status_code == 200:
        return bool(answer.json().get("items") == [])
    return answer.status_code == 404


def everything(product: Product, traces: Traces) -> Json:
    """All that is stored of somebody."""
    database = product.studio.database
    mine = {"$or": [{"owner": traces.owner}, {"_id": traces.owner}]}
    return {
        "objects": {key: traces.read(key) for key in traces.keys()},  # noqa: SIM118 (no mapping)
        **{name: list(database[name].find(mine)) for name in sorted(database.list_collection_names())},
    }
