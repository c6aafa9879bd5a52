"""The table that a person reads."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench.frame import Goal, Measure, Result

_UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))
_WIDTHS: Final = "{:<4} {:<56} {:>10} {:>10} {:>7} {:>8}  {:<11} {}"


def seconds(value: float) -> str:
    """Seconds with the unit that fits, three digits."""
    least, unit = next(one for one in _UNITS if value >= one[0])
    return f"{value / (least or 1e-9):.3g} {unit}"


def figure(value: float, goal: Goal) -> str:
    """A figure per unit, in the unit of its measure."""
    return f"{value:.0f} B" if goal.measure is Measure.SIZE else seconds(value)


def goal_text(goal: Goal) -> str:
    """The goal, with the direction in which it is better."""
    if goal.measure is Measure.BUDGET:
        return f"<= {goal.bound:g} s"
    return f">= {goal.bound:.2f} x" if goal.measure is Measure.SPEED else f"<= {goal.bound:g} x"


def heading(where: Mapping[str, Any], *, quick: bool) -> str:
    """What was found before the first row, and the columns."""
    lines = [f"{name + ':':<16} {value}" for name, value in where.items()]
    if quick:
        lines.append("quick:           small sizes and fewer entries; figures are noisier than those of a full run")
    lines += ["", _WIDTHS.format("row", "what", "operation", "floor", "ratio", "(min)", "goal", "")]
    return "\n".join(lines)


def line(result: Result) -> str:
    """One row, and beneath it what its floor is."""
    goal = result.row.goal
    is_budget = goal.measure is Measure.BUDGET
    found = _WIDTHS.format(
        result.row.id,
        result.row.what,
        figure(statistics.median(result.operations), goal),
        "-" if is_budget else figure(statistics.median(result.floors), goal),
        "-" if is_budget else f"{result.median:.2f}",
        "-" if is_budget else f"({result.least:.2f})",
        goal_text(goal),
        "met" if result.is_met else "MISSED",
    )
    return found if is_budget else f"{found}\n     beside: {result.row.floor}"


def absent(name: str, reason: str) -> str:
    """A row without figures."""
    return f"{name:<4} not measured: {reason}"


def closing(results: Sequence[Result], where: Mapping[str, Any]) -> str:
    """How many goals are met, and how busy the machine was."""
    met = sum(result.is_met for result in results)
    missed = [f"{result.row.id} ({result.row.what})" for result in results if not result.is_met]
    lines = ["", f"{met} of {len(results)} goals met. Load average {where['load_before']}, then {where['load_after']}."]
    lines += [f"missed: {one}" for one in missed]
    lines.append("A ratio of speed is better when it is greater (>=), one of time or size when it is smaller (<=).")
    return "\n".join(lines)
