"""Jobs as they are moved, whoever moves them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.client_session import ClientSession

from broker import run_in_transaction
from studio.artworks import Artwork
from studio.jobs import Failure, Job, JobStatus
from studio.pipelines import NEEDS_NEW_CLIP, JobKind
from studio.records import new_id
from tests.broker.queues import profiled
from tests.product import Product

WALKS, LENGTH = 12, 14


@pytest.fixture
def walk(product: Product) -> Callable[[Callable[..., Job | None]], Job | None]:
    """Run one change of a job in a transaction of its own."""
    return lambda change: run_in_transaction(product.studio.client, lambda session: change(session=session))


def retry(product: Product, job: Job, session: ClientSession) -> Job | None:
    artwork = product.studio.artworks.get(job.owner, job.artwork_id).now()
    assert artwork
    return product.studio.jobs.retry(job, artwork, request_id="", session=session)


def new_job(product: Product) -> Job:
    studio = product.studio
    artwork: Artwork = studio.artworks.create(
        new_id(), title="", description="A fox.", cover_asset_id=None, audio_asset_id=None
    )
    return run_in_transaction(
        studio.client,
        lambda session: studio.jobs.create(artwork, JobKind.VIDEO, version=1, request_id="", session=session),
    )


def step_by_chance(product: Product, seen: list[Job], chance: random.Random) -> Callable[..., Job | None]:
    """A change that some worker may make, by what it saw of the job now or a while ago."""
    jobs = product.studio.jobs
    # Mostly the newest sight of it, or the walk would not get far.
    job = seen[-1] if chance.random() < 0.7 else chance.choice(seen)
    symbol = chance.choice(["INTERNAL", "PROVIDER_TIMEOUT", *sorted(NEEDS_NEW_CLIP)])
    fraction = chance.uniform(-0.2, 1.2)
    changes: list[tuple[int, Callable[..., Job | None]]] = [
        (2, lambda **how: jobs.start(job, **how)),
        (8, lambda **how: jobs.report(job, fraction, **how)),
        (4, lambda **how: jobs.advance(job, outside_ms=1, **how)),
        (1, lambda **how: jobs.fail(job, Failure(symbol), **how)),
        (1, lambda **how: retry(product, job, **how)),
    ]
    return chance.choices([change for _, change in changes], [weight for weight, _ in changes])[0]


def test_progress_never_falls_within_a_try_and_is_whole_only_at_success(product: Product, walk: Any) -> None:
    chance = random.Random(4)  # noqa: S311 (a seed, no secret)
    ended: set[str] = set()
    for _ in range(WALKS):
        seen = [new_job(product)]
        while len(seen) < LENGTH and seen[-1].status is not JobStatus.SUCCEEDED:
            moved = walk(step_by_chance(product, seen, chance))
            if moved:
                seen.append(moved)
        by_try: dict[int, list[int]] = defaultdict(list)
        for job in seen:
            by_try[job.tries].append(job.progress)
            assert (job.progress == 100) == (job.status is JobStatus.SUCCEEDED)
        assert all(progress == sorted(progress) for progress in by_try.values())
        # What the watchers were told is the same.
        told = product.studio.database["events"].find({"job_id": seen[0].id}).sort("seq", 1)
        assert [event["data"]["progress"] for event in told] == [job.progress for job in seen]
        ended |= {job.status for job in seen} | ({"retried"} if seen[-1].tries else set())
    assert ended == {"queued", "running", "failed", "succeeded", "retried"}, "the walks lead everywhere"


def test_times_are_noted_as_a_job_goes_on_and_forgotten_by_a_retry(product: Product, walk: Any) -> None:
    jobs, job = product.studio.jobs, new_job(product)
    assert (job.started_at, job.step_started_at) == (None, None)
    started = walk(lambda **how: jobs.start(job, **how))
    assert started.started_at == started.step_started_at is not None
    advanced = walk(lambda **how: jobs.advance(started, outside_ms=0, **how))
    assert advanced.started_at == started.started_at <= advanced.step_started_at
    failed = walk(lambda **how: jobs.fail(advanced, Failure("INTERNAL"), **how))
    assert failed.finished_at >= advanced.step_started_at
    retried = walk(lambda **how: retry(product, failed, **how))
    assert (retried.started_at, retried.step_started_at, retried.finished_at) == (None, None, None)


def stages(plan: Any) -> set[str]:
    """The names of all stages of a query's plan."""
    if isinstance(plan, list):
        return set[str]().union(*map(stages, plan))
    if not isinstance(plan, dict):
        return set()
    return {plan["stage"]} | stages(list(plan.values())) if "stage" in plan else stages(list(plan.values()))


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("wanted", [{}, {"status": JobStatus.FAILED, "kind": JobKind.VIDEO}, {"artwork_id": "a"}])
def test_a_list_of_jobs_follows_an_index(product: Product, wanted: dict[str, Any], is_first: bool) -> None:  # noqa: FBT001
    after = None if is_first else (datetime.now(UTC), "id")
    read = product.studio.jobs.list_page("owner", **wanted, after=after, limit=20)
    plan = read.collection.find(read.query, sort=read.sort).limit(20).explain()["queryPlanner"]["winningPlan"]
    assert "IXSCAN" in stages(plan)
    assert not {"SORT", "COLLSCAN"} & stages(plan)


def test_the_sweep_reads_unfinished_jobs_by_index(product: Product, walk: Any) -> None:
    jobs, job = product.studio.jobs, new_job(product)
    started = walk(lambda **how: jobs.start(job, **how))
    canceling = walk(lambda **how: jobs.ask_to_cancel(started, **how))
    assert canceling.status is JobStatus.CANCELING
    assert job.id in {quiet.id for quiet in jobs.list_quiet(for_s=-60)}
    with profiled(product.studio.database) as examined:
        found = list(jobs.list_quiet(for_s=-60))
        assert sum(examined()) <= len(found)
    canceled = walk(lambda **how: jobs.cancel(canceling, **how))
    assert job.id not in {quiet.id for quiet in jobs.list_quiet(for_s=-60)}
    assert (canceled.status, canceled.error, canceled.billing) == ("canceled", Failure("CANCELED"), "none")
