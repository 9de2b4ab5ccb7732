"""`huaban spend`: what AI services have cost, and how much of the caps is used."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich_click as click
from rich.markup import escape

from app.cli import tables
from app.cli.lines import console, language, words
from app.cli.reaching import reached, reaching
from studio.language import Text
from studio.ledger import CapUse, Ledger, Scope, Spending
from studio.money import written
from studio.records import CODEC

_SCOPES = {Scope.DAY: Text("今天", "Today"), Scope.TOTAL: Text("总计", "In all")}


@click.command(
    help=words("查看 AI 服务的花费和费用上限。", "Show what AI services have cost, and what is left to spend.")
)
@click.option(
    "--days", type=click.IntRange(min=1, max=3650), default=30, show_default=True,
    help=words("最近几天，以 UTC 计。", "How many days up to today, in UTC."),
)  # fmt: skip
@reaching
def spend(*, days: int, data: Path, as_json: bool) -> None:
    with reached(data) as (database, settings):
        ledger = Ledger(database.with_options(codec_options=CODEC), settings)
        spending, caps = ledger.list_spending(days=days), ledger.list_caps()
    if as_json:
        tables.print_json({"spending": list(map(_record, spending)), "caps": list(map(_cap_record, caps))})
        return
    if spending:
        tables.print_spending(spending)
    else:
        console.print(words("这段时间没有付费调用。", "Nothing was paid for in this time."))
    for cap in caps:
        console.print(_cap_line(cap))


def _record(row: Spending) -> tables.Record:
    return {**msgspec.structs.asdict(row), "day": f"{row.day:%Y-%m-%d}"}


def _cap_record(cap: CapUse) -> tables.Record:
    return {**msgspec.structs.asdict(cap), "left_micros": cap.left_micros}


def _cap_line(cap: CapUse) -> str:
    """How much of a cap is used: "Today: CNY 12.30 of 50.00"."""
    used = f"{cap.currency} {written(cap.spent_micros)}"
    line = words(f"{used} / {written(cap.cap_micros)}", f"{used} of {written(cap.cap_micros)}")
    style = "bold red" if not cap.left_micros else "green"
    return f"[{style}]{_SCOPES[cap.scope].in_(language())}[/]: {escape(line)}"
