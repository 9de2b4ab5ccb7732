from __future__ import annotations

import pytest

from studio.money import parse_amounts, written


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("CNY 50", {"CNY": 50_000_000}),
        ("CNY 50, USD 7.5", {"CNY": 50_000_000, "USD": 7_500_000}),
        (" usd0.000001 ,", {"USD": 1}),
        ("CNY 0", {"CNY": 0}),
        ("CNY 999999999999.999999", {"CNY": 999_999_999_999_999_999}),
        ("", {}),
    ],
)
def test_amounts_are_read_to_the_last_millionth(text: str, amounts: dict[str, int]) -> None:
    assert parse_amounts(text) == amounts


@pytest.mark.parametrize(
    "text", ["50", "CNY", "CNY -1", "CNY 1e3", "CNY 0.0000001", "CNY 5; USD 1", "CNY 5, CNY 6", "¥ 5", "CNY 5 USD 1"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one amount for each currency"):
        parse_amounts(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0.00"), (7_500_000, "7.50"), (1_234_000_001, "1,234.000001"), (120_000, "0.12"), (-5_000, "-0.005")],
)
def test_amounts_are_written_with_all_that_they_are(micros: int, text: str) -> None:
    assert written(micros) == text
