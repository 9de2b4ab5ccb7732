from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client
from tests.app.problems import problem_of
from tests.product import new_artwork


def test_an_unknown_artwork_has_no_analysis(http: httpx.Client) -> None:
    problem_of(http.get("/ai/analyses/no-such-artwork"), "NOT_FOUND")


def test_an_analysis_that_is_not_made_yet_says_so(client: Client, http: httpx.Client, drawing: Path) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    problem_of(http.get(f"/ai/analyses/{artwork_id}"), "ANALYSIS_NOT_READY")


@pytest.mark.usefixtures("worker")
def test_an_analysis_is_read_in_the_callers_language(client: Client, http: httpx.Client, drawing: Path) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    job = http.post("/generation/jobs", json={"artworkId": artwork_id, "kind": "analysis"}).json()
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    english = http.get(f"/ai/analyses/{artwork_id}").json()
    chinese = http.get(f"/ai/analyses/{artwork_id}", headers={"Accept-Language": "zh"}).json()
    assert (english["language"], chinese["language"]) == ("en", "zh")
    assert english["summary"].isascii()
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese["summary"])
    assert english["boxes"]
    assert all(0 <= edge <= 1 for box in english["boxes"] for edge in box["box"])
    assert http.get(f"/artworks/{artwork_id}").json()["analysisStatus"] == "ready"
