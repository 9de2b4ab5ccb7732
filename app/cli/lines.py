"""Lines on the terminal: coloured where a person looks, plain in a file or a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from app.stack import StackError
from studio.language import Language, Text

# Not wrapped: addresses must stay whole, to be clicked and to be searched for.
console = Console(soft_wrap=True, highlight=False)
errors = Console(soft_wrap=True, highlight=False, stderr=True)


def language() -> Language:
    """The terminal's."""
    chosen = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "zh" if chosen.startswith("zh") else "en"


def words(zh: str, en: str) -> str:
    """Whichever the terminal's language is."""
    return Text(zh, en).in_(language())


def part_line(part: str, line: str) -> None:
    """One line about one part of the stack."""
    console.print(f"[cyan]{part:<8}[/] {escape(line)}")


@contextmanager
def complaints() -> Iterator[None]:
    """End the command with two lines and exit code 1 when something that it needs is missing or wrong."""
    try:
        yield
    except StackError as error:
        complain(error)
        sys.exit(1)


def complain(error: StackError) -> None:
    """What happened, and how to mend it, on standard error."""
    errors.print(f"[bold red]{escape(error.what)}[/]\n{escape(error.mend)}")
