"""How a campaign went, for people."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.faults.nemesis import Report

EXAMPLES = 5


def show(report: Report, console: Console) -> None:
    """The table of verdicts, and some of what broke a promise."""
    table = Table(title=f"HUABAN_SEED={report.campaign.seed}")
    table.add_column("promise")
    table.add_column("seen", justify="right")
    table.add_column("allowed", justify="right")
    table.add_column("verdict")
    for verdict in report.verdicts:
        word = "[green]kept" if verdict.is_kept else "[red]broken"
        table.add_row(verdict.promise, f"{verdict.seen:,}", f"{verdict.allowed:,}", word)
    console.print(table)
    for verdict in report.verdicts:
        if not verdict.is_kept:
            console.print(f"[red]{verdict.promise}:")
            for example in verdict.examples[:EXAMPLES]:
                console.print(f"  {escape(example)}", soft_wrap=True)


def told(report: Report) -> str:
    """The campaign in one line."""
    history = report.history
    faults = ", ".join(f"{kind} x{count}" for kind, count in Counter(report.faults).items())
    broken = [verdict.promise for verdict in report.verdicts if not verdict.is_kept]
    extra = next(verdict for verdict in report.verdicts if verdict.promise.startswith("extra runs"))
    return (
        f"nemesis, seed {report.campaign.seed}: {len(history.sent):,} messages told safe and {len(history.unknown):,} "
        f"not known, {len(history.runs):,} runs, {extra.seen} extra (allowed {extra.allowed}), "
        f"{len(history.deaths)} deaths, at most {history.longest_recovery_s():.1f} s to recovery; {faults}; "
        f"{report.took_s:.0f} s; "
        f"{'broken: ' + ', '.join(broken) if broken else 'every promise kept'}"
    )
