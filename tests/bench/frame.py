"""One operation beside its floor: both in turn, several rounds, the median and the least of the rounds' ratios."""

import gc
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Any, Final

ROUNDS: Final = 5
"""The fewest that a row may have; a budget has one."""

METHOD: Final = (
    "Each round measures the operation and its floor once, in one process, one right after the other, and the order "
    "changes every round; one unmeasured round comes first. The garbage is collected before each side. A ratio belongs "
    "to one round; median and least are over the rounds' ratios, never over figures of different rounds."
)


class NeighbourAbsent(Exception):
    """What a row measures us beside is not installed; the message says what is missing, and how to get it."""


class Measure(StrEnum):
    """How a ratio is made."""

    SPEED = "speed"
    """Speed of the operation in parts of the floor's: the floor's time over the operation's. More is better."""
    TIME = "time"
    """Time of the operation in multiples of the floor's. Less is better."""
    SIZE = "size"
    """Octets of the operation in multiples of the floor's. Less is better."""
    BUDGET = "seconds"
    """Seconds of the operation; there is no floor. Less is better."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached. Nothing here depends on it: a goal that is missed is printed as missed."""

    measure: Measure
    bound: float

    def ratio(self, operation: float, floor: float) -> float:
        """The ratio of one round, from figures per unit."""
        if self.measure is Measure.BUDGET:
            return operation
        return floor / operation if self.measure is Measure.SPEED else operation / floor

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio reaches the bound."""
        return ratio >= self.bound if self.measure is Measure.SPEED else ratio <= self.bound


def speed(bound: float) -> Goal:
    """At least so much of the floor's speed."""
    return Goal(Measure.SPEED, bound)


def time(bound: float) -> Goal:
    """At most so many times the floor's time."""
    return Goal(Measure.TIME, bound)


Figure = Callable[[], float]
"""Does the work once and returns seconds (or octets) per unit; what it prepares is not in the figure."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a row measures: ready to be called as often as there are rounds."""

    operation: Figure
    floor: Figure


@dataclass(slots=True)
class Scale:
    """How much is measured, and where files may be."""

    quick: bool
    folder: Path
    _made: int = 0
    _shared: dict[str, Any] = field(default_factory=dict)

    def of(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full

    def fresh(self) -> Path:
        """A new empty folder."""
        self._made += 1
        path = self.folder / f"{self._made:03d}"
        path.mkdir()
        return path

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """What several rows look at and none changes: made once a run."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    id: str
    what: str
    floor: str
    """In words; empty for a budget."""
    goal: Goal
    prepare: Callable[[Scale], AbstractContextManager[Pair]]
    rounds: int = ROUNDS
    in_quick: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured: figures per unit, one of each a round."""

    row: Row
    operations: tuple[float, ...]
    floors: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """One a round."""
        return tuple(self.row.goal.ratio(*both) for both in zip(self.operations, self.floors, strict=True))

    @property
    def median(self) -> float:
        """The middle of the rounds' ratios: what the goal is held against."""
        return statistics.median(self.ratios)

    @property
    def least(self) -> float:
        """The smallest of the rounds' ratios: the worst round of a speed, the best one of a time."""
        return min(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the goal."""
        return self.row.goal.is_met(self.median)


def measure(row: Row, scale: Scale) -> Result:
    """The row's figures; operation and floor take turns at going first."""
    with row.prepare(scale) as pair:
        if row.goal.measure is Measure.BUDGET:
            operations = tuple(pair.operation() for _ in range(row.rounds))
            return Result(row, operations, operations)
        pair.operation()
        pair.floor()
        rounds = [_both(pair, floor_first=number % 2 == 1) for number in range(row.rounds)]
    return Result(row, tuple(one for one, _ in rounds), tuple(other for _, other in rounds))


def _both(pair: Pair, *, floor_first: bool) -> tuple[float, float]:
    if floor_first:
        floor = _one(pair.floor)
        return _one(pair.operation), floor
    operation = _one(pair.operation)
    return operation, _one(pair.floor)


def _one(figure: Figure) -> float:
    gc.collect()
    return figure()


def repeated(act: Callable[[], object], times: int) -> Figure:
    """Seconds for one of `times` calls in a row."""

    def figure() -> float:
        started = perf_counter()
        for _ in range(times):
            act()
        return (perf_counter() - started) / times

    return figure


def over(act: Callable[[Any], object], things: Sequence[Any]) -> Figure:
    """Seconds for `act` of one of the things, one after the other."""

    def figure() -> float:
        started = perf_counter()
        for thing in things:
            act(thing)
        return (perf_counter() - started) / len(things)

    return figure


def shown(result: Result) -> dict[str, Any]:
    """The result as `bench.json` has it."""
    row = result.row
    return {
        "id": row.id,
        "what": row.what,
        "floor": row.floor,
        "measure": row.goal.measure,
        "goal": row.goal.bound,
        "operation": result.operations,
        "floor_figures": () if row.goal.measure is Measure.BUDGET else result.floors,
        "ratios": result.ratios,
        "median": result.median,
        "min": result.least,
        "met": result.is_met,
    }
