"""Somebody's things, put into database and bucket without anybody's work."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from broker import run_in_transaction
from studio.artworks import Artwork
from studio.keys import object_key
from studio.ledger import Ledger
from studio.media_assets import Kind, MediaAsset
from studio.records import new_id
from tests.product import Product


def asset(
    product: Product, owner: str, artwork_id: str, folder: Path, *, kind: Kind = Kind.IMAGE, key: str = ""
) -> MediaAsset:
    """An asset of three bytes, at a key of its own."""
    asset_id = new_id()
    key = key or object_key(owner, artwork_id, "original", 1, f"{asset_id}.png")
    file = folder / "three-bytes"
    file.write_bytes(b"abc")
    stored = product.studio.objects.upload(file, key, mime="image/png")
    fields = {"_id": asset_id, "owner": owner, "artwork_id": artwork_id, "kind": kind, "key": key, "mime": "image/png"}
    return product.studio.media_assets.create({**fields, "size": stored.size, "etag": stored.etag, "source": asset_id})


def artwork(product: Product, owner: str, folder: Path, **fields: Any) -> Artwork:
    """An artwork with a drawing and a piece of news."""
    artwork_id = new_id()
    cover = asset(product, owner, artwork_id, folder)
    made = product.studio.artworks.create(
        owner,
        title="Fox",
        description="",
        cover_asset_id=cover.id,
        audio_asset_id=None,
        artwork_id=artwork_id,
        **fields,
    )
    run_in_transaction(
        product.studio.client,
        lambda session: product.studio.events.append(owner, "job", job_id=new_id(), data={}, session=session),
    )
    return made


def paid_call(product: Product, owner: str, *, micros: int = 3, job_id: str = "") -> str:
    """An entry of the books, and a counter of what the owner has spent today."""
    capped = product.studio.settings.model_copy(update={"spend_cap_client_day": {"CNY": 1_000_000}})
    ledger, entry_id = Ledger(product.studio.database, capped), new_id()
    told = {"provider": "ark", "capability": "animator", "model": "m", "currency": "CNY"}
    run_in_transaction(
        product.studio.client,
        lambda session: ledger.reserve(
            entry_id,
            owner=owner,
            job_id=job_id or new_id(),
            micros=micros,
            at=ledger.today(),
            session=session,
            **told,
        ),
    )
    return entry_id


def let_time_pass(product: Product, collection: str, document_id: str, field: str, **duration: float) -> None:
    """As if a time of a document had been so long ago."""
    product.studio.database[collection].update_one(
        {"_id": document_id},
        [{"$set": {field: {"$subtract": ["$$NOW", int(1000 * timedelta(**duration).total_seconds())]}}}],
    )


def let_an_hour_pass(product: Product, job_id: str, field: str = "sent_at") -> None:
    """As if a time of a job's paid calls had been an hour ago."""
    earlier = {field: {"$subtract": ["$$NOW", 3600 * 1000]}}
    each = {"$map": {"input": "$submissions", "in": {"$mergeObjects": ["$$this", earlier]}}}
    product.studio.database["jobs"].update_one({"_id": job_id}, [{"$set": {"submissions": each}}])
