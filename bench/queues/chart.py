"""The figures of all brokers as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.queues.brokers import Kind
from bench.queues.samples import BULK, DRAIN_1, DRAIN_2, ENQUEUE, PICKUP, Row, Samples

COLORS = {"ours": "#12805c", "redis": "#d2665a", "redis-aof": "#e8b3ab", "rabbitmq": "#e0a03c"}
INK = "#333333"
PANELS: list[tuple[str, Sequence[tuple[str, Row]], bool]] = [
    ("Drain, messages/s (more is better)", [("1 process", DRAIN_1), ("2 processes", DRAIN_2)], False),
    ("Enqueue, messages/s (more is better)", [("one by one", ENQUEUE), ("as a whole", BULK)], False),
    ("Idle pickup, ms (less is better; log scale)", list(zip(["p50", "p95", "p99"], PICKUP, strict=True)), True),
]


def draw(samples: Samples, kinds: list[Kind], path: Path) -> None:
    """Write a PNG of the panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, groups, is_log) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        _draw_panel(axes, samples, kinds, groups, is_log=is_log)
        axes.set_title(title, loc="left", color=INK, fontsize=10)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(kinds), frameon=False)
    figure.savefig(path)


def _draw_panel(
    axes: Any, samples: Samples, kinds: list[Kind], groups: Sequence[tuple[str, Row]], *, is_log: bool
) -> None:
    width = 0.84 / len(kinds)
    for place, kind in enumerate(kinds):
        lefts = [group + (place - (len(kinds) - 1) / 2) * width for group in range(len(groups))]
        values = [samples.value(row, kind.name) or 0 for _, row in groups]
        bars = axes.bar(lefts, values, width * 0.94, label=kind.label, color=COLORS[kind.name])
        axes.bar_label(bars, [_shown(value) for value in values], fontsize=7, padding=1, color=INK)
    axes.set_xticks(range(len(groups)), [name for name, _ in groups])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False, bottom=False, labelsize=8, colors=INK)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(y=0.12)
    if is_log:
        axes.set_yscale("log")
        axes.set_ylim(bottom=1)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")


def _shown(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.1f}k"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
