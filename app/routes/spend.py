"""`GET /api/v1/spend`: what a client's works have cost, and what it may still spend."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from app.dependencies import Owner, TheStudio
from app.views import SpendView, view_spend
from studio.ledger import LINKED_DAYS


@get("/api/v1/spend", sync_to_thread=True)
def get_spend(
    owner: Owner,
    studio: TheStudio,
    *,
    days: Annotated[int, QueryParameter(ge=1, le=LINKED_DAYS)] = 30,
) -> SpendView:
    """What AI services were paid for the client's works, by day, provider and kind of work.

    `room` is what the client may still spend today. Days are in UTC; amounts are millionths of their currency, and
    currencies are not converted. What an operator allows for all clients together may be used up earlier.
    """
    ledger = studio.ledger
    return view_spend(ledger.list_spending(days=days, owner=owner), ledger.list_caps(owner=owner), today=ledger.today())
