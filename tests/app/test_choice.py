"""Who makes a film, and what it is to be: by the settings, or by the order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.client import Client
from studio.providers import Providers
from studio.settings import Settings
from tests.app.problems import problem_of
from tests.product import Product, new_artwork

pytestmark = pytest.mark.usefixtures("two_services")


@pytest.fixture
def two_services(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment that has Pika make its films, and Ark where that is asked for or Pika declines. Nobody is called."""
    names = {"VIDEO_PROVIDER": "pika,ark", "FAL_KEY": "k", "ARK_API_KEY": "k"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(product.studio, "providers", Providers(Settings(), product.studio.objects))


@pytest.mark.parametrize(
    ("wishes", "code", "words"),
    [
        ({"provider": "pika", "seconds": 7}, "CLIP_NOT_OFFERED", "5, 10"),
        ({"provider": "pika", "resolution": "900p"}, "CLIP_NOT_OFFERED", "720p, 1080p"),
        ({"provider": "ark", "ratio": "2:1"}, "CLIP_NOT_OFFERED", "16:9"),
        ({"provider": "ark", "model": "doubao-of-yesterday"}, "MODEL_UNKNOWN", "ARK_VIDEO_MODEL"),
        ({"provider": "kling"}, "PROVIDER_NOT_OFFERED", "pika, ark"),
    ],
)
def test_what_nobody_here_offers_is_refused_with_the_nearest_that_is(
    client: Client, drawing: Path, product: Product, *, wishes: dict[str, Any], code: str, words: str
) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    problem = problem_of(client._api.post("/generation/jobs", json={"artworkId": artwork_id, **wishes}), code)
    assert words in problem["message"] + problem["nextStep"]
    assert product.studio.database["jobs"].count_documents({"artwork_id": artwork_id}) == 0


def test_an_order_is_stored_with_what_it_wishes(client: Client, drawing: Path, product: Product) -> None:
    wishes = {"provider": "ark", "seconds": 5, "ratio": "1:1", "resolution": "480p"}
    order = {"artworkId": new_artwork(client, drawing)["artworkId"], **wishes}
    job = product.studio.jobs.load(client.post("/generation/jobs", order)["jobId"])
    assert job is not None
    withdraw(client, job.id)
    assert {name: getattr(job.wishes, name) for name in wishes} == wishes


def test_a_wish_that_only_a_later_provider_fulfils_is_taken(client: Client, drawing: Path) -> None:
    # Pika's clips take five or ten seconds.
    order = {"artworkId": new_artwork(client, drawing)["artworkId"], "seconds": 8}
    job = client.post("/generation/jobs", order)
    assert job["status"] == "queued"
    withdraw(client, job["jobId"])


def test_what_is_no_film_has_no_format(client: Client, drawing: Path) -> None:
    order = {"artworkId": new_artwork(client, drawing)["artworkId"], "kind": "analysis", "seconds": 5}
    problem = problem_of(client._api.post("/generation/jobs", json=order), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == ["seconds"]


def withdraw(client: Client, job_id: str) -> None:
    """Leave nothing for the workers of later tests, who would ask whatever provider is there then."""
    assert client.post(f"/generation/jobs/{job_id}/cancel")["status"] == "canceled"
