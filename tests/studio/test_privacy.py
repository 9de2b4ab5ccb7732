from __future__ import annotations

import msgspec
import pytest

from studio.privacy import NOT_PERSONAL, OWNED, Owned
from studio.schema import COLLECTIONS
from studio.settings import QUEUE_PREFIX
from tests.product import Product


def test_every_collection_is_a_clients_or_has_a_reason_not_to_be(product: Product) -> None:
    """Or else an export would leave something out, and an erasure leave something behind."""
    names = {*COLLECTIONS, *product.studio.database.list_collection_names()}
    personal = {owned.name for owned in OWNED}
    assert {name for name in names if not name.startswith(f"{QUEUE_PREFIX}_")} == personal | NOT_PERSONAL.keys()
    assert not personal & NOT_PERSONAL.keys()


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: str(owned.name))
def test_documents_are_found_by_a_field_that_they_have(owned: Owned) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(COLLECTIONS[owned.name].record)}
    assert owned.owner_field in fields


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: str(owned.name))
def test_documents_of_an_owner_are_found_by_an_index(owned: Owned, product: Product) -> None:
    plan = product.studio.database[owned.name].find(owned.of("somebody"), {"_id": 1}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
