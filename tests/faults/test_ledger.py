"""The ledger reads from oplog entries what became of every delivery."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from tests.faults.ledger import Claim, ledger

MESSAGE = uuid4()


def update(token: UUID | None = None, state: str | None = None) -> dict[str, Any]:
    """An update as the oplog has it: "i" for new fields, "u" for changed ones, "d" for those that went."""
    set_fields = {"u": {"state": state}} if state else {}
    lease = {"i": {"lease": {"worker": "w", "token": token}}} if token else {"d": {"lease": False}}
    return {"op": "u", "o2": {"_id": MESSAGE}, "o": {"$v": 2, "diff": {**set_fields, **lease}}}


def test_each_claim_has_the_state_in_which_it_left_the_message() -> None:
    first, second = uuid4(), uuid4()
    entries = [
        {"op": "i", "o": {"_id": MESSAGE, "state": "QUEUED"}},
        update(first, "CONSUMED"),
        update(state="QUEUED"),
        update(second, "CONSUMED"),
        update(state="DONE"),
    ]
    assert ledger(entries) == {str(MESSAGE): [Claim(str(first), "QUEUED"), Claim(str(second), "DONE")]}


def test_a_claim_that_is_held_has_no_fate() -> None:
    token = uuid4()
    assert ledger([update(token, "CONSUMED")]) == {str(MESSAGE): [Claim(str(token), None)]}
