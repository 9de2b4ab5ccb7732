"""What readings of several drawings have in common: colours and traits, each with the works in which it was found."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from studio.language import Text
from studio.providers.interfaces import Swatch
from studio.reports.works import Work

_MOST_COLOURS = 7
_MOST_TRAITS = 12


@dataclass(frozen=True, slots=True)
class ColourUse:
    """A named colour. `share` is its part of the drawn area, 0 to 1, on average over all drawings that were read."""

    name: Text
    color: str
    """#rrggbb, as it looks in the drawing that has most of it."""
    share: float
    works: list[Work]


@dataclass(frozen=True, slots=True)
class Trait:
    """A tag that readers gave to drawings."""

    name: Text
    works: list[Work]


def read_works(works: list[Work]) -> list[Work]:
    return [work for work in works if work.reading]


def colours_of(works: list[Work]) -> list[ColourUse]:
    """The colours of the drawings that were read, the most used first."""
    read = read_works(works)
    found: defaultdict[str, list[tuple[Work, Swatch]]] = defaultdict(list)
    for work in read:
        for swatch in work.reading.palette if work.reading else []:
            found[swatch.name["en"]].append((work, swatch))
    uses = [_colour_use(entries, among=len(read)) for entries in found.values()]
    return sorted(uses, key=lambda use: (-use.share, use.name.en))[:_MOST_COLOURS]


def traits_of(works: list[Work]) -> list[Trait]:
    """The tags of the drawings that were read, the most frequent first."""
    found: defaultdict[tuple[str, str], list[Work]] = defaultdict(list)
    for work in read_works(works):
        for tag in work.reading.tags if work.reading else []:
            found[tag["zh"], tag["en"]].append(work)
    traits = [Trait(Text(*name), tagged) for name, tagged in found.items()]
    return sorted(traits, key=lambda trait: (-len(trait.works), trait.name.en))[:_MOST_TRAITS]


def _colour_use(entries: list[tuple[Work, Swatch]], *, among: int) -> ColourUse:
    _, most = max(entries, key=lambda entry: (entry[1].share, entry[1].color))
    share = sum(swatch.share for _, swatch in entries) / among
    return ColourUse(Text(most.name["zh"], most.name["en"]), most.color, share, [work for work, _ in entries])
