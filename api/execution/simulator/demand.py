"""What an EV wants when nobody limits it, and what it does in spite of being limited."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from api.execution.errors import TraceRefused

MAX_DEMAND_STEPS = 100_000


class Demand(Protocol):
    """The power an EV wants."""

    def at(self, at_ms: int) -> tuple[int, bool]:
        """(W, whether it takes exactly that whatever it is told)."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantDemand:
    """Always the same, and obedient."""

    power_w: int

    def at(self, at_ms: int) -> tuple[int, bool]:
        """At a moment."""
        return self.power_w, False


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandStep:
    """From `from_ms` on it wants `power_w`; with `overrides` it takes exactly that: no noise, ramp or obedience."""

    from_ms: int
    power_w: int
    overrides: bool = False


class ScriptedDemand:
    """Piecewise constant; before the first step nothing is wanted."""

    def __init__(self, steps: Sequence[DemandStep]) -> None:
        if len(steps) > MAX_DEMAND_STEPS:
            raise TraceRefused("too many steps", expected=f"<= {MAX_DEMAND_STEPS}", found=len(steps))
        self._steps = sorted(steps, key=lambda step: step.from_ms)
        self._times = [step.from_ms for step in self._steps]

    def at(self, at_ms: int) -> tuple[int, bool]:
        """At a moment."""
        index = bisect_right(self._times, at_ms)
        if index == 0:
            return 0, False
        step = self._steps[index - 1]
        return step.power_w, step.overrides


def shared(total_w: int, count: int) -> tuple[int, ...]:
    """`count` whole numbers that sum to `total_w` and differ by at most one: how a group is scripted exactly."""
    low, more = divmod(total_w, count)
    return tuple(low + 1 if index < more else low for index in range(count))
