"""`huaban doctor`: what works on this machine, and how to mend what does not."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import rich_click as click
from rich.markup import escape

from app.cli.checks import Finding, examine
from app.cli.lines import console
from app.cli.reading import data_folder


@click.command()
@data_folder("Folder that the data would go to.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, data: Path, as_json: bool) -> None:
    """Check this machine and say how to mend what is missing."""
    findings = []
    for finding in examine(data):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    if not all(finding.ok for finding in findings):
        sys.exit(1)


def _print(finding: Finding) -> None:
    mark = "[green]✓[/]" if finding.ok else "[bold red]✗[/]"
    console.print(f"{mark} {finding.check:<13} {escape(finding.found)}")
    if finding.mend:
        console.print(f"  {'':<13} {escape(finding.mend)}")
