"""The words that stand on every report."""

from __future__ import annotations

from studio.language import Text, counted
from studio.media.titles import MARK, readable
from studio.reports import BEFORE, ENOUGH, MOST_WORKS, Ability, Period, PeriodReport, Report

__all__ = ["MARK"]

NO_VALUE = "–"
COLON = Text("：", ": ")
NAME = Text("成长报告", "Growth report")
EMPTY = Text("这段时间没有作品。", "There are no works of this time.")
RUNNING = {
    Period.WEEK: Text("这一周还没有过完", "the week is not over yet"),
    Period.MONTH: Text("这个月还没有过完", "the month is not over yet"),
}
DAYS = Text("每天的作品", "Works of each day")
PERIODS = {
    Period.WEEK: Text("每周的作品", "Works of each week"),
    Period.MONTH: Text("每月的作品", "Works of each month"),
}
UNTITLED = Text("没有名字的画", "Untitled drawing")
COLOURS = Text("用到的颜色", "Colours used")
RADAR = Text("能力雷达", "Ability radar")
INSIGHTS = Text("从作品里看到的", "What the works show")
METHODS = Text("怎样量的", "How it was measured")
DASHED = {period: Text(f"虚线：{then.zh}", f"Dashed: {then.en}") for period, then in BEFORE.items()}
NOT_MARKS = Text(
    "数值（0–100）是从孩子自己的作品里量出来的，不是打分或诊断，也不和别的孩子比较。",
    "The values (0–100) are measured in the child's own works. They are no marks and no diagnosis, and compare nobody "
    "with other children.",
)
TOO_FEW = Text(
    f"作品少于 {ENOUGH} 幅时不给数值（{NO_VALUE}）。",
    f"With fewer than {ENOUGH} works there is no value ({NO_VALUE}).",
)
CUT = Text(
    f"作品很多，这里只看了最近的 {MOST_WORKS} 幅。",
    f"There are very many works; only the newest {MOST_WORKS} were looked at.",
)
MADE_BY = Text(
    f"{MARK}。由程序读画、计数并写成。", f"{MARK}: drawings were read, counted and put into words by a program."
)


def title(report: Report) -> Text:
    """The title, with the nickname where there is one."""
    name = readable(report.profile.nickname or "") if report.profile else ""
    return Text(f"{name}的{NAME.zh}", f"{NAME.en} for {name}") if name else NAME


def works(count: int) -> Text:
    return Text(f"{count} 幅作品", counted(count, "work"))


def summary(period: PeriodReport) -> Text:
    """How much was made, in a line."""
    if not period.works:
        return EMPTY
    films = sum(1 for work in period.works if work.has_film)
    parts = [
        works(len(period.works)),
        Text(f"{period.active_days} 天", counted(period.active_days, "day")),
        Text(f"{films} 部影片", counted(films, "film")),
    ]
    if not period.is_over:
        parts.append(RUNNING[period.span.period])
    return Text(" · ".join(part.zh for part in parts), ", ".join(part.en for part in parts))


def method(how: Text, sample: int) -> Text:
    """How something was found, and in how many works."""
    return Text(f"{how.zh}看了 {sample} 幅作品。", f"{how.en} {counted(sample, 'work')} looked at.")


def measured_in(period: PeriodReport) -> Text:
    """The heading of the methods, which names the period whose values stand there."""
    label = period.span.label
    return Text(f"{METHODS.zh}（{label.zh}）", f"{METHODS.en} ({label.en})")


def beside(ability: Ability, period: Period) -> Text | None:
    """What stands with an ability's value: the value of the period before, or why there is none at all."""
    if ability.note or ability.earlier is None:
        return ability.note
    return Text(f"{BEFORE[period].zh}：{ability.earlier}", f"{BEFORE[period].en}: {ability.earlier}")
