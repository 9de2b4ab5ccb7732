"""What a client sees of its own spending."""

from __future__ import annotations

import datetime as dt

from app.views.view import View
from studio.ledger import CapUse, Spending


class SpendingView(View, frozen=True, kw_only=True):
    """The calls of a day that are alike. Amounts are millionths of the currency."""

    day: dt.date
    """In UTC."""
    provider: str
    capability: str
    """For what kind of work."""
    currency: str
    calls: int
    """All but those that were not charged."""
    unpriced_calls: int
    """So many of them have no known price, and are in no amount."""
    estimated_micros: int
    """Of calls that are under way: what they cost at most."""
    settled_micros: int
    """Of calls that were charged."""
    uncertain_micros: int
    """Of calls that may have been charged."""


class RoomView(View, frozen=True, kw_only=True):
    """What a client may spend in a day, in one currency."""

    currency: str
    cap_micros: int
    spent_micros: int
    """Today, what is under way and what may have been charged included."""
    left_micros: int


class SpendView(View, frozen=True, kw_only=True):
    items: list[SpendingView]
    """The newest day first."""
    room: list[RoomView]
    """Empty where there is no limit for a client."""
    resets_at: dt.datetime
    """When the next day begins."""


def view_spend(spending: list[Spending], caps: list[CapUse], *, today: dt.datetime) -> SpendView:
    return SpendView(
        items=[
            SpendingView(
                day=row.day.date(),
                provider=row.provider,
                capability=row.capability,
                currency=row.currency,
                calls=row.calls,
                unpriced_calls=row.unpriced,
                estimated_micros=row.open_micros,
                settled_micros=row.settled_micros,
                uncertain_micros=row.uncertain_micros,
            )
            for row in spending
        ],
        room=[
            RoomView(
                currency=cap.currency,
                cap_micros=cap.cap_micros,
                spent_micros=cap.spent_micros,
                left_micros=cap.left_micros,
            )
            for cap in caps
        ],
        resets_at=today + dt.timedelta(days=1),
    )
