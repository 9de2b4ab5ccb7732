"""What goes when its time is over, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import run_in_transaction
from studio.artworks import Artwork
from studio.jobs import Failure, Job
from studio.keys import export_key, lent_key
from studio.media_assets import Kind, MediaAsset
from studio.pipelines import JobKind
from studio.records import new_id, owner_of
from tests.actors.belongings import artwork, asset, let_time_pass, paid_call
from tests.product import Product


@pytest.fixture(autouse=True)
def _nobody_elses_media(product: Product) -> None:
    """A walk takes so many media at a time, and the tests before have left some hundred."""
    product.studio.database["media_assets"].delete_many({})
    product.studio.database["walks"].delete_many({})


@pytest.fixture
def owner(product: Product) -> Iterator[str]:
    """Somebody. His jobs have no messages, and must not be found by later sweeps."""
    made = owner_of(new_id(), "tests")
    yield made
    product.studio.database["jobs"].delete_many({"owner": made})
    product.broker.flush("default")


def is_there(product: Product, one: MediaAsset) -> bool:
    document, stored = product.studio.media_assets.load(one.id).now(), product.studio.objects.head(one.key)
    assert (document is None) == (stored is None)
    return document is not None


def order(product: Product, of: Artwork, *, failed: bool = False) -> Job:
    def store(session: object) -> Job:
        job = product.studio.jobs.create(of, JobKind.ANALYSIS, version=0, request_id="", session=session)  # type: ignore[arg-type]
        return product.studio.jobs.fail(job, Failure("INTERNAL"), session=session) or job if failed else job  # type: ignore[arg-type]

    return run_in_transaction(product.studio.client, store)


def test_media_that_nothing_uses_goes_after_a_week(product: Product, owner: str, tmp_path: Path) -> None:
    from actors import review_media

    used = artwork(product, owner, tmp_path)
    cover = product.studio.media_assets.load(used.cover_asset_id or "").now()
    assert cover is not None
    avatar, old, new = (asset(product, owner, used.id, tmp_path) for _ in range(3))
    product.studio.profiles.change(owner, {"avatar_asset_id": avatar.id})
    for one, days in ((cover, 30), (avatar, 30), (old, 8), (new, 6)):
        let_time_pass(product, "media_assets", one.id, "created_at", days=days)
    review_media.fn()
    assert [is_there(product, one) for one in (cover, avatar, old, new)] == [True, True, False, True]


def test_media_that_somebody_comes_to_use_while_others_are_removed_stays(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import review_media

    made = artwork(product, owner, tmp_path)
    old = [asset(product, owner, made.id, tmp_path) for _ in range(2)]
    for one in old:
        let_time_pass(product, "media_assets", one.id, "created_at", days=8)
    remove = product.studio.objects.delete

    def remove_and_use_another(key: str) -> None:
        remove(key)
        [other] = [one for one in old if key not in one.keys]
        product.studio.database["artworks"].update_one({"_id": made.id}, {"$set": {"cover_asset_id": other.id}})

    monkeypatch.setattr(product.studio.objects, "delete", remove_and_use_another)
    review_media.fn()
    assert sorted(is_there(product, one) for one in old) == [False, True]


def recording_of(product: Product, owner: str, folder: Path, *, days: float) -> tuple[Artwork, MediaAsset]:
    """An artwork with a recording that was made so long ago."""
    made = artwork(product, owner, folder)
    recording = asset(product, owner, made.id, folder, kind=Kind.AUDIO)
    product.studio.database["artworks"].update_one({"_id": made.id}, {"$set": {"audio_asset_id": recording.id}})
    let_time_pass(product, "media_assets", recording.id, "created_at", days=days)
    return made, recording


def review_with(product: Product, monkeypatch: pytest.MonkeyPatch, recordings: str) -> None:
    from actors import review_media

    changed = product.studio.settings.model_copy(update={"recordings": recordings})
    monkeypatch.setattr(product.studio, "settings", changed)
    review_media.fn()


@pytest.mark.parametrize(("setting", "stays"), [("keep", True), ("days:3", False), ("days:5", True)])
def test_recordings_stay_as_long_as_the_setting_says(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, setting: str, stays: bool
) -> None:
    made, recording = recording_of(product, owner, tmp_path, days=4)
    review_with(product, monkeypatch, setting)
    assert is_there(product, recording) is stays
    after = product.studio.artworks.get(owner, made.id).now()
    assert after is not None
    assert after.audio_asset_id == (recording.id if stays else None)


def test_a_recording_that_is_to_be_written_down_first_goes_with_the_film_or_a_week_later(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [recording_of(product, owner, tmp_path, days=days) for days in (1, 1, 1, 9, 9)]
    documents = product.studio.database["artworks"]
    film = {"version": 1, "job_id": "j", "video_asset_id": "v"}
    documents.update_one({"_id": cases[1][0].id}, [{"$set": {"versions": [{**film, "created_at": "$$NOW"}]}}])
    documents.update_one(
        {"_id": cases[2][0].id},
        [{"$set": {"versions": [{**film, "created_at": {"$subtract": ["$$NOW", 9 * 86_400_000]}}]}}],
    )
    documents.update_one({"_id": cases[3][0].id}, {"$set": {"transcript": "A fox."}})
    review_with(product, monkeypatch, "transcribe_then_delete")
    kept = {
        "nothing was made of it yet": cases[0],
        "the film is of an older recording": cases[2],
        "nobody could write it down": cases[4],
    }
    gone = {"it is in the film": cases[1], "it was written down long ago": cases[3]}
    for why, (_, recording) in kept.items():
        assert is_there(product, recording), why
    for why, (_, recording) in gone.items():
        assert not is_there(product, recording), why


def test_no_recording_goes_while_somebody_works_with_it(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, recording = recording_of(product, owner, tmp_path, days=4)
    order(product, made)
    review_with(product, monkeypatch, "days:3")
    assert is_there(product, recording)


def test_a_walk_through_all_media_goes_on_where_it_was(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import review_media

    monkeypatch.setattr("actors.housekeeping.BATCH", 2)
    old = [asset(product, owner, new_id(), tmp_path) for _ in range(5)]
    for one in old:
        let_time_pass(product, "media_assets", one.id, "created_at", days=8)
    runs = 1 + product.studio.database["media_assets"].count_documents({}) // 2
    for _ in range(runs):
        review_media.fn()
    assert not any(is_there(product, one) for one in old)
    assert product.studio.walks.position("media") == "", "and begins anew"


def test_the_bin_is_emptied_after_a_month_of_what_nothing_else_uses(
    product: Product, owner: str, tmp_path: Path
) -> None:
    from actors import empty_bin

    gone, young, kept, busy = (artwork(product, owner, tmp_path) for _ in range(4))
    shared = asset(product, owner, gone.id, tmp_path, kind=Kind.AUDIO)
    for one in (gone, kept):
        product.studio.database["artworks"].update_one({"_id": one.id}, {"$set": {"audio_asset_id": shared.id}})
    for one, days in ((gone, 31), (young, 29), (busy, 31)):
        let_time_pass(product, "artworks", one.id, "deleted_at", days=days)
    job = order(product, gone, failed=True)
    order(product, busy)
    empty_bin.fn()
    left = {document["_id"] for document in product.studio.database["artworks"].find({"owner": owner})}
    assert left == {young.id, kept.id, busy.id}
    assert is_there(product, shared), "another artwork has it, too"
    assert product.studio.media_assets.load(gone.cover_asset_id or "").now() is None
    assert product.studio.jobs.load(job.id) is None


def test_records_of_failed_jobs_go_after_a_week_and_others_stay(product: Product, owner: str, tmp_path: Path) -> None:
    from actors import forget_failed_jobs

    one = artwork(product, owner, tmp_path)
    old, young = (order(product, one, failed=True) for _ in range(2))
    live = order(product, one)
    let_time_pass(product, "jobs", old.id, "finished_at", days=8)
    let_time_pass(product, "jobs", young.id, "finished_at", days=6)
    forget_failed_jobs.fn()
    assert [product.studio.jobs.load(job.id) is not None for job in (old, young, live)] == [False, True, True]


def test_exports_go_after_a_week_and_lost_ones_are_given_up(product: Product, owner: str, tmp_path: Path) -> None:
    from actors import sweep_exports

    studio = product.studio
    old = run_in_transaction(studio.client, lambda session: studio.exports.open(owner, session=session))
    assert studio.exports.mark_ready(old, size=3, sha256="")
    file = tmp_path / "three-bytes"
    file.write_bytes(b"abc")
    studio.objects.upload(file, export_key(owner, old.id), mime="application/zip")
    lost = run_in_transaction(studio.client, lambda session: studio.exports.open(owner, session=session))
    let_time_pass(product, "exports", old.id, "expires_at", seconds=1)
    let_time_pass(product, "exports", lost.id, "created_at", hours=25)
    sweep_exports.fn()
    assert studio.exports.load(old.id).now() is None
    assert studio.objects.head(old.key) is None
    given_up = studio.exports.load(lost.id).now()
    assert given_up is not None
    assert given_up.status == "failed"


def test_a_copy_that_was_lent_to_a_service_is_taken_back(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import sweep_orphans

    file = tmp_path / "three-bytes"
    file.write_bytes(b"abc")
    key = lent_key(f"{new_id()}.mp3")
    product.studio.objects.upload(file, key, mime="audio/mpeg")
    sweep_orphans.fn()
    assert product.studio.objects.head(key), "the service may be at it"
    monkeypatch.setattr("actors.housekeeping.ORPHAN_AFTER_S", -1)
    sweep_orphans.fn()
    assert product.studio.objects.head(key) is None


def test_an_archive_that_nothing_leads_to_is_an_orphan(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import sweep_orphans

    file = tmp_path / "three-bytes"
    file.write_bytes(b"abc")
    key = export_key(owner, new_id())
    product.studio.objects.upload(file, key, mime="application/zip")
    sweep_orphans.fn()
    assert product.studio.objects.head(key), "it may be on its way"
    monkeypatch.setattr("actors.housekeeping.ORPHAN_AFTER_S", -1)
    changed = product.studio.settings.model_copy(update={"retain_uploads_hours": -1, "presign_expires_s": -1})
    monkeypatch.setattr(product.studio, "settings", changed)
    sweep_orphans.fn()
    assert product.studio.objects.head(key) is None


def test_books_of_more_than_a_year_ago_are_nobodys(product: Product, owner: str) -> None:
    from actors import unlink_old_spending

    old, young = paid_call(product, owner), paid_call(product, owner)
    let_time_pass(product, "ledger", old, "day", days=402)
    let_time_pass(product, "ledger", young, "day", days=398)
    unlink_old_spending.fn()
    books = product.studio.database["ledger"]
    kept = books.find_one({"_id": old})
    assert kept is not None
    assert (kept["micros"], kept.keys() & {"owner", "job_id"}) == (3, set())
    assert [entry["_id"] for entry in books.find({"owner": owner})] == [young]


@pytest.mark.parametrize(("days", "months", "is_erased"), [(370, 12, True), (360, 12, False), (370, 0, False)])
def test_a_client_who_was_not_here_for_a_year_is_erased(
    product: Product, owner: str, monkeypatch: pytest.MonkeyPatch, *, days: int, months: int, is_erased: bool
) -> None:
    from actors import erase_inactive_clients

    changed = product.studio.settings.model_copy(update={"retain_inactive_months": months})
    monkeypatch.setattr(product.studio, "settings", changed)
    product.studio.clients.register(owner)
    let_time_pass(product, "clients", owner, "last_seen_at", days=days)
    erase_inactive_clients.fn()
    erase_inactive_clients.fn()
    receipts = list(product.studio.database["erasures"].find({"owner": owner}))
    assert len(receipts) == is_erased
    product.studio.database["erasures"].delete_many({"owner": owner})
    product.studio.database["clients"].delete_one({"_id": owner})


def test_each_chore_has_its_schedule(product: Product) -> None:
    from actors import SCHEDULES, housekeeping
    from broker import Schedules

    chores = {name for name in vars(housekeeping) if name in product.broker.actors and name != "erase_client"}
    assert chores <= {schedule.name for schedule in SCHEDULES}
    watched = [one for one in product.broker.middleware if isinstance(one, Schedules)]
    assert [one.schedules for one in watched] == [SCHEDULES]
