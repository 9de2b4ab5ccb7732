from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from broker import run_in_transaction
from studio.artworks import Artwork
from studio.providers.interfaces import Words
from tests.product import Product

WORDS = Words("A fox flies.", "a fox that flies", "en", "rules")


@pytest.fixture
def artwork(product: Product) -> Artwork:
    return product.studio.artworks.create(
        secrets.token_urlsafe(18),
        title="Fox",
        description="A fox flies.",
        cover_asset_id="drawing",
        audio_asset_id="recording",
    )


@pytest.fixture
def change(product: Product, artwork: Artwork) -> Callable[..., Artwork]:
    """Change the artwork as somebody else would, or see how it is now."""

    def changed(**fields: Any) -> Artwork:
        if fields:
            product.studio.database["artworks"].update_one({"_id": artwork.id}, {"$set": fields})
        now = product.studio.artworks.get_kept(artwork.owner, artwork.id).now()
        assert now
        return now

    return changed


def test_words_are_not_stored_for_a_story_they_were_not_made_of(
    product: Product, artwork: Artwork, change: Callable[..., Artwork]
) -> None:
    def store(read: Artwork) -> None:
        run_in_transaction(
            product.studio.client, lambda session: product.studio.artworks.set_words(read, WORDS, session=session)
        )

    for name in ("description", "transcript", "audio_asset_id"):
        before = change()
        change(**{name: "another"})
        store(before)
        assert change().words is None, name
    store(change())
    assert change().words == WORDS


def test_a_transcript_belongs_to_the_recording_that_was_heard(
    product: Product, artwork: Artwork, change: Callable[..., Artwork]
) -> None:
    def store(text: str | None) -> Artwork:
        artworks = product.studio.artworks
        run_in_transaction(
            product.studio.client, lambda session: artworks.set_transcript(artwork, text, session=session)
        )
        return change()

    change(audio_asset_id="another")
    assert (store("A fox.").transcript, change().heard) == (None, False)
    change(audio_asset_id="recording")
    assert (store(None).transcript, change().heard) == (None, True)
    assert store("A fox.").transcript == "A fox."
    assert store("An ox.").transcript == "A fox.", "the first one stays"


def test_a_drawing_that_was_exchanged_cannot_be_held(
    product: Product, artwork: Artwork, change: Callable[..., Artwork]
) -> None:
    def held() -> bool:
        artworks = product.studio.artworks
        return run_in_transaction(
            product.studio.client, lambda session: artworks.hold_drawing(artwork, session=session)
        )

    assert held()
    change(description="An owl reads.")
    assert held(), "the story is another matter"
    change(cover_asset_id="another")
    assert not held()


def test_the_newest_film_is_shown_whenever_it_comes(
    product: Product, artwork: Artwork, change: Callable[..., Artwork]
) -> None:
    def add(version: int) -> Artwork:
        told: dict[str, Any] = {
            "job_id": f"job {version}",
            "video_asset_id": f"film {version}",
            "at": artwork.created_at,
        }
        artworks = product.studio.artworks
        run_in_transaction(
            product.studio.client,
            lambda session: artworks.add_version(artwork.id, version=version, session=session, **told),
        )
        return change()

    assert add(2).video_asset_id == "film 2"
    assert add(1).video_asset_id == "film 2", "it was retried, and is older"
    change(video_asset_id="film 1")
    assert add(1).video_asset_id == "film 1", "what was chosen stays, and one job adds one film"
    assert [version.version for version in add(3).versions] == [1, 2, 3]
    assert change().video_asset_id == "film 3"
