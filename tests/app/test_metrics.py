from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from dramatiq.errors import ConnectionClosed
from prometheus_client.parser import text_string_to_metric_families

from app import metrics
from app.client import Client
from broker import run_in_transaction
from broker.stats import QueueStats
from studio.errors import Away
from studio.jobs import FinishedJob, JobStatus
from studio.pipelines import JobKind
from studio.providers.cards import Limits
from studio.providers.interfaces import Capability
from studio.records import new_id
from tests.product import Product, new_artwork

Figure = Callable[..., float]


@pytest.fixture
def figure(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Reads one figure; 0.0 when there is none."""
    monkeypatch.setattr(metrics, "LOOK_EVERY_S", 0.0)

    def read(name: str, **labels: str) -> float:
        answer = http.get("/metrics", headers={"X-Client-Id": ""})
        assert answer.headers["content-type"].startswith("text/plain; version=")
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        return next((sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)), 0.0)

    return read


def test_calls_are_counted_by_route_and_not_by_path(http: httpx.Client, figure: Figure) -> None:
    labels = {"method": "GET", "route": "/artworks/{artwork_id}"}
    before = figure("huaban_http_requests_total", status="404", **labels)
    for name in ("one", "two"):
        http.get(f"/artworks/{name}-whom-nobody-may-see")
    assert figure("huaban_http_requests_total", status="404", **labels) == before + 2
    assert figure("huaban_http_request_seconds_count", **labels) >= 2
    assert "whom-nobody-may-see" not in http.get("/metrics").text
    assert http.headers["x-client-id"] not in http.get("/metrics").text


def test_what_no_route_takes_is_counted_together(http: httpx.Client, figure: Figure) -> None:
    before = figure("huaban_http_requests_total", method="other", route="", status="404")
    http.request("BREW", "/a/pot/of/tea")
    assert figure("huaban_http_requests_total", method="other", route="", status="404") == before + 1


def test_refusals_are_counted_by_their_code(http: httpx.Client, figure: Figure) -> None:
    before = figure("huaban_refusals_total", code="CURSOR_INVALID")
    http.get("/gallery?cursor=nowhere")
    assert figure("huaban_refusals_total", code="CURSOR_INVALID") == before + 1


def test_queues_tell_what_waits(
    client: Client, http: httpx.Client, drawing: Path, product: Product, figure: Figure
) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    product.broker.flush("default")
    http.post("/generation/jobs", json={"artworkId": artwork_id})
    assert figure("huaban_queue_messages", queue="default", state="ready") == 1
    assert figure("huaban_queue_messages", queue="default", state="dead") == 0
    assert figure("huaban_queue_oldest_ready_seconds", queue="default") >= 0
    assert figure("huaban_database_up") == 1


def test_jobs_and_steps_tell_how_they_went(product: Product, figure: Figure) -> None:
    statistics, day = product.studio.statistics, datetime(2100, 1, 1, tzinfo=UTC)
    ended = [
        FinishedJob(kind=JobKind.VIDEO, status=JobStatus.SUCCEEDED, finished_at=day, started_at=day),
        FinishedJob(kind=JobKind.VIDEO, status=JobStatus.FAILED, finished_at=day),
    ]
    statistics.put_day(day, ended)
    steps = product.studio.database["step_times"]
    times = {"created_at": day, "updated_at": day}
    steps.insert_one({"_id": "t", "kind": "video", "step": "t", "provider": "p", "seconds": [3.0, 1.0, 2.0], **times})
    try:
        assert figure("huaban_jobs_of_day", kind="video", outcome="succeeded") == 1
        assert figure("huaban_jobs_of_day", kind="video", outcome="failed") == 1
        assert figure("huaban_step_seconds", kind="video", step="t", provider="p") == 2
    finally:
        product.studio.database["statistics"].delete_many({"day": day})
        steps.delete_one({"_id": "t"})


def test_spending_is_told_without_whose_it_is(product: Product, figure: Figure) -> None:
    labels = {"provider": "ark", "capability": "painter", "currency": "CNY"}
    ledger, entry_id = product.studio.ledger, new_id()
    run_in_transaction(
        product.studio.client,
        lambda session: ledger.reserve(
            entry_id,
            owner="somebody",
            job_id="job",
            model="m",
            micros=5,
            at=ledger.today(),
            session=session,
            **labels,
        ),
    )
    assert figure("huaban_spend_micros_of_day", **labels, state="open") == 5
    run_in_transaction(product.studio.client, lambda session: ledger.settle(entry_id, 4, session=session))
    assert figure("huaban_spend_micros_of_day", **labels, state="open") == 0
    assert figure("huaban_spend_micros_of_day", **labels, state="settled") == 4


def test_providers_tell_whether_they_are_there_and_who_waits(product: Product, figure: Figure) -> None:
    gates, limits = product.studio.gates, Limits(concurrent=1)
    for _ in range(5):
        with suppress(Away), gates.passing("measured", Capability.ANIMATOR, limits, ticket="job"):
            raise Away("away")
    for holder in ("one", "two"):
        gates.take_slot("measured", Capability.ANIMATOR, limits, holder=holder, for_s=60)
    try:
        assert figure("huaban_provider_circuit_open", gate="measured/animator/calls") == 1
        assert figure("huaban_provider_slots", account="measured/animator", state="held") == 1
        assert figure("huaban_provider_slots", account="measured/animator", state="waiting") == 1
    finally:
        gates.free_slot("one")
        gates.free_slot("two")
        product.studio.database["gates"].delete_one({"_id": "measured/animator/calls"})


def test_open_streams_are_counted(client: Client, http: httpx.Client, drawing: Path, figure: Figure) -> None:
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    before = figure("huaban_watchers")
    with http.stream("GET", f"/generation/jobs/{job['jobId']}/events") as events:
        lines = events.iter_lines()
        next(lines)
        assert figure("huaban_watchers") == before + 1


def test_without_a_database_the_rest_is_told(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise ConnectionClosed("away")

    monkeypatch.setattr(metrics, "queue_stats", away)
    assert figure("huaban_database_up") == 0
    assert figure("huaban_queue_messages", queue="default", state="ready") == 0
    assert figure("process_resident_memory_bytes") > 0


def test_many_who_ask_cost_one_look(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([list[QueueStats]()])
    monkeypatch.setattr(metrics, "queue_stats", lambda _broker: next(looks))
    monkeypatch.setattr(metrics, "LOOK_EVERY_S", 60.0)
    assert all(http.get("/metrics").is_success for _ in range(5))
