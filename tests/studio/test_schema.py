from __future__ import annotations

import pytest

from studio import schema_docs
from studio.jobs import Job, JobStatus
from studio.schema import COLLECTIONS
from studio.structs import doc_of, field_docs, structs_in
from studio.submissions import Submission


def test_the_page_of_the_database_is_current() -> None:
    assert schema_docs.PAGE.read_text(encoding="utf-8") == schema_docs.page(), "run `make docs`"


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_field_says_what_it_means(name: str) -> None:
    assert not [f"{struct}.{field}" for struct, field in schema_docs.without_meaning(COLLECTIONS[name])]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_index_says_what_it_is_for(name: str) -> None:
    for index in COLLECTIONS[name].indexes:
        assert index.why.endswith("."), index.document["name"]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_indexes_of_a_collection_have_names_of_their_own(name: str) -> None:
    names = [index.document["name"] for index in COLLECTIONS[name].indexes]
    assert len(set(names)) == len(names)
    assert not any("~" in name for name in names), "this marks the replacement of an index"


def test_docstrings_below_fields_and_members_are_found() -> None:
    assert field_docs(Job)["step_progress"] == "Percent of the current step."
    assert field_docs(JobStatus)["RUNNING"] == "At its `step`."
    assert doc_of(Submission).startswith("One paid call.")
    assert Submission in structs_in([Job])
