from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client, Json
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.product import Product, new_artwork


def watched(client: Client, answer: httpx.Response) -> Json:
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/generation/jobs/{answer.json()['jobId']}"
    for _ in client.watch(answer.json()["jobId"], patience_s=60):
        pass
    return client.get(f"/generation/jobs/{answer.json()['jobId']}")


@pytest.mark.usefixtures("worker")
def test_every_film_is_a_version_and_any_of_them_can_be_shown(
    client: Client, http: httpx.Client, drawing: Path
) -> None:
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    assert watched(client, http.post(f"{path}/regenerate"))["version"] == 1
    first = http.get(path).json()
    job = watched(client, http.post(f"{path}/regenerate", json={"text": " An owl reads. "}))
    assert (job["version"], job["status"]) == (2, "succeeded")
    second = http.get(path).json()
    assert second["description"] == "An owl reads."
    assert second["refinedText"] != first["refinedText"]
    assert [version["version"] for version in second["versions"]] == [2, 1]
    for version in second["versions"]:
        assert client._bucket.get(version["videoUrl"]).status_code == 200, "an older film stays playable"
    older = http.patch(path, json={"videoVersion": 1}).json()
    assert (older["videoVersion"], [version["version"] for version in older["versions"]]) == (1, [2, 1])
    assert client._bucket.get(older["videoUrl"]).content
    watched(client, http.post(f"{path}/regenerate", json={}))
    newest = http.get(path).json()
    assert (newest["videoVersion"], newest["description"]) == (3, "An owl reads."), "what is new is shown"


@pytest.mark.usefixtures("worker")
def test_a_film_says_who_made_it_also_when_another_one_would_be_asked_today(
    client: Client, http: httpx.Client, drawing: Path, product: Product
) -> None:
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    watched(client, http.post(f"{path}/regenerate"))
    (film,) = http.get(path).json()["versions"]
    assert (film["provider"], film["model"]) == ("fake", None)
    entry = {"versions.0.provider": "ark", "versions.0.model": "seedance"}
    product.studio.database["artworks"].update_one({"_id": path.rpartition("/")[2]}, {"$set": entry})
    (film,) = http.get(path).json()["versions"]
    assert (film["provider"], film["model"]) == ("ark", "seedance")


def test_a_second_tap_makes_no_second_version(
    client: Client, http: httpx.Client, drawing: Path, traces: Traces
) -> None:
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}/regenerate"
    first, second = http.post(path).json(), http.post(path).json()
    assert first["jobId"] == second["jobId"]
    assert [artwork["last_version"] for artwork in traces.documents("artworks")] == [1]


@pytest.mark.usefixtures("worker")
def test_what_is_being_made_of_a_deleted_artwork_is_canceled(
    client: Client, http: httpx.Client, drawing: Path, product: Product
) -> None:
    product.service.behave("never")
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    ordered = http.post(f"{path}/regenerate")
    next(event for event in client.watch(ordered.json()["jobId"]) if event["step"] == "poll_video")
    assert http.delete(path).status_code == 204
    assert watched(client, ordered)["status"] == "canceled"
    assert http.post(f"{path}/restore").json()["status"] == "draft"
    product.service.behave("")
    assert watched(client, http.post(f"{path}/regenerate"))["version"] == 2


def test_an_order_that_nobody_began_goes_with_its_artwork(
    client: Client, http: httpx.Client, drawing: Path, traces: Traces, product: Product
) -> None:
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    ordered = http.post(f"{path}/regenerate").json()
    http.delete(path)
    assert [job["status"] for job in traces.documents("jobs")] == ["canceled"]
    waiting = {"msg.args": ordered["jobId"], "state": {"$in": ["QUEUED", "DELAYED"]}}
    assert product.studio.database["queue_default"].count_documents(waiting) == 0


@pytest.mark.usefixtures("worker")
def test_a_retry_makes_the_film_of_the_story_as_it_is_by_now(
    client: Client, http: httpx.Client, drawing: Path, product: Product
) -> None:
    product.service.behave("refuses")
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    failed = watched(client, http.post(f"{path}/regenerate"))
    assert http.get(path).json()["refinedText"]
    assert http.patch(path, json={"description": "An owl reads."}).json()["refinedText"] is None
    product.service.behave("")
    again = watched(client, http.post(f"/generation/jobs/{failed['jobId']}/retry"))
    assert again["status"] == "succeeded"
    assert [step["name"] for step in again["steps"]] == [step["name"] for step in failed["steps"]]
    assert "owl" in http.get(path).json()["refinedText"].lower()


@pytest.mark.usefixtures("worker")
def test_a_film_of_a_deleted_artwork_is_not_tried_again(
    client: Client, http: httpx.Client, drawing: Path, product: Product
) -> None:
    product.service.behave("refuses")
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    failed = watched(client, http.post(f"{path}/regenerate"))
    http.delete(path)
    problem_of(http.post(f"/generation/jobs/{failed['jobId']}/retry"), "JOB_NOT_RETRYABLE")
