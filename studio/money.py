"""Money: whole numbers of micros, millionths of a currency, each with its currency beside it. Never a float."""

from __future__ import annotations

import re
from decimal import Decimal

MICROS = 1_000_000

Amounts = dict[str, int]
"""Micros by currency. Currencies are not converted into each other: an amount of each stands for itself."""

_AMOUNT = re.compile(r"(?P<currency>[A-Z]{3})\s*(?P<number>\d{1,12}(?:\.\d{1,6})?)")


def parse_amounts(text: str) -> Amounts:
    """Amounts as people write them, "CNY 50, USD 7.5". Raises ValueError for anything else."""
    amounts: Amounts = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = _AMOUNT.fullmatch(part.upper())
        if match is None or match["currency"] in amounts:
            raise ValueError("write one amount for each currency, as in: CNY 50, USD 7.5")
        amounts[match["currency"]] = int(Decimal(match["number"]) * MICROS)
    return amounts


def written(micros: int) -> str:
    """An amount for people, without its currency: at least two decimals, and as many more as it has."""
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole:,}.{decimals}"
