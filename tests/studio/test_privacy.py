from __future__ import annotations

import msgspec
import pytest

from studio.privacy import NOT_PERSONAL, OWNED, Owned, is_personal
from studio.schema import COLLECTIONS
from tests.product import Product


def test_somebody_has_thought_about_every_collection(product: Product) -> None:
    """Or else an export would leave something out, and an erasure leave something behind."""
    names = {*COLLECTIONS, *product.studio.database.list_collection_names()}
    personal = {name for name in names if is_personal(name)}
    assert personal == {owned.name for owned in OWNED}
    assert not personal & NOT_PERSONAL.keys()


def test_a_collection_that_nobody_has_thought_about_is_found() -> None:
    with pytest.raises(LookupError, match="diaries"):
        is_personal("diaries")


@pytest.mark.parametrize("owned", OWNED, ids=lambda owned: str(owned.name))
def test_documents_are_found_by_a_field_that_they_have(owned: Owned) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(COLLECTIONS[owned.name].record)}
    assert owned.owner_field in fields
