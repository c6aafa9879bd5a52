"""Grid frequency as a function of time, in integer mHz: seeded, or from a trace; the same moment always gives the same.

`fast` says which moments are near an event, where measuring every 100 ms pays.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from api.execution.errors import TraceRefused
from api.execution.simulator import noise
from ledger import plain_file

NOMINAL_MILLIHERTZ = 50_000
MAX_TRACE_POINTS = 1_000_000
MAX_TRACE_BYTES = 64 * 1024 * 1024
FAST_BEFORE_MS, FAST_AFTER_MS = 15_000, 910_000
TICK_MS = 100


class Frequency(Protocol):
    """A grid's frequency."""

    def millihertz(self, at_ms: int) -> int:
        """At a moment."""
        ...

    def fast(self) -> Sequence[tuple[int, int]]:
        """The spans (both ends included) around events, in time order."""
        ...


@dataclass(frozen=True, slots=True)
class Steady:
    """Always the same."""

    value_millihertz: int = NOMINAL_MILLIHERTZ

    def millihertz(self, at_ms: int) -> int:
        """At a moment."""
        return self.value_millihertz

    def fast(self) -> Sequence[tuple[int, int]]:
        """Nowhere."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEvent:
    """A loss of generation at `at_ms`: from `before` down at `rocof` mHz/s to `nadir`, then back in two slopes."""

    at_ms: int
    before_millihertz: int = 49_985
    rocof_millihertz_per_s: int = -330
    nadir_millihertz: int = 49_457
    recovered_after_ms: int = 12_000
    recovered_millihertz: int = 49_720
    settled_after_ms: int = 240_000
    settled_millihertz: int = 49_950

    @property
    def nadir_after_ms(self) -> int:
        """How long the fall takes."""
        return (self.nadir_millihertz - self.before_millihertz) * 1000 // self.rocof_millihertz_per_s

    def offset(self, at_ms: int) -> float:
        """How far the event moves the frequency from `before` at a moment; 0 before it."""
        t = at_ms - self.at_ms
        if t < 0:
            return 0.0
        fall = self.nadir_after_ms
        if t < fall:
            value = self.before_millihertz + self.rocof_millihertz_per_s * t / 1000
        elif t < self.recovered_after_ms:
            share = (t - fall) / (self.recovered_after_ms - fall)
            value = self.nadir_millihertz + (self.recovered_millihertz - self.nadir_millihertz) * share
        elif t < self.settled_after_ms:
            share = (t - self.recovered_after_ms) / (self.settled_after_ms - self.recovered_after_ms)
            value = self.recovered_millihertz + (self.settled_millihertz - self.recovered_millihertz) * share
        else:
            value = float(self.settled_millihertz)
        return value - self.before_millihertz


class EventDay:
    """A quiet grid with measuring noise and some losses of generation: the demo day's frequency.

    The defaults of `LossEvent` fall at 0.33 Hz/s to a nadir of about 49.456 Hz.
    """

    def __init__(self, events: Iterable[LossEvent], *, seed: int, noise_millihertz: float = 1.5) -> None:
        self._events = sorted(events, key=lambda event: event.at_ms)
        self._key = noise.channel(seed, "frequency")
        self._noise = noise_millihertz
        self._cache: dict[int, int] = {}

    def millihertz(self, at_ms: int) -> int:
        """At a moment; noise changes every 100 ms."""
        known = self._cache.get(at_ms)
        if known is not None:
            return known
        base = float(self._events[0].before_millihertz) if self._events else float(NOMINAL_MILLIHERTZ)
        for event in self._events:
            if event.at_ms > at_ms:
                break
            base = event.before_millihertz + event.offset(at_ms)
        value = round(base + self._noise * noise.gauss(self._key, at_ms // TICK_MS))
        if len(self._cache) > MAX_TRACE_POINTS:
            self._cache.clear()
        self._cache[at_ms] = value
        return value

    def fast(self) -> Sequence[tuple[int, int]]:
        """15 s before to a little over 15 min after each event."""
        return [(event.at_ms - FAST_BEFORE_MS, event.at_ms + FAST_AFTER_MS) for event in self._events]


class Wandering:
    """An Ornstein-Uhlenbeck process (deviation 20 mHz, time constant 120 s) with losses of generation on top.

    Its nodes are a second apart from `start_ms` on, and are computed once, in order; in between it is a straight line.
    """

    def __init__(
        self,
        *,
        seed: int,
        start_ms: int,
        sigma_millihertz: float = 20.0,
        tau_s: float = 120.0,
        events: Iterable[LossEvent] = (),
    ) -> None:
        self._start_ms = start_ms
        self._key = noise.channel(seed, "wandering")
        self._keep = math.exp(-1 / tau_s)
        self._kick = sigma_millihertz * math.sqrt(1 - self._keep**2)
        self._nodes = [0.0]
        self._events = sorted(events, key=lambda event: event.at_ms)

    def _node(self, index: int) -> float:
        if index >= MAX_TRACE_POINTS:
            raise TraceRefused("too long after the start of the process", expected=f"< {MAX_TRACE_POINTS} s")
        while len(self._nodes) <= index:
            kick = self._kick * noise.gauss(self._key, len(self._nodes))
            self._nodes.append(self._nodes[-1] * self._keep + kick)
        return self._nodes[index]

    def millihertz(self, at_ms: int) -> int:
        """At a moment, not before the start."""
        second, rest = divmod(max(0, at_ms - self._start_ms), 1000)
        left = self._node(second)
        value = left + (self._node(second + 1) - left) * rest / 1000
        return round(NOMINAL_MILLIHERTZ + value + sum(event.offset(at_ms) for event in self._events))

    def fast(self) -> Sequence[tuple[int, int]]:
        """Around the losses."""
        return [(event.at_ms - FAST_BEFORE_MS, event.at_ms + FAST_AFTER_MS) for event in self._events]


class Trace:
    """Points joined by straight lines; before the first and after the last the frequency stands still."""

    def __init__(self, points: Sequence[tuple[int, int]], fast: Sequence[tuple[int, int]] = ()) -> None:
        if not 1 <= len(points) <= MAX_TRACE_POINTS:
            raise TraceRefused("number of points", expected=f"1..{MAX_TRACE_POINTS}", found=len(points))
        self._times = [at_ms for at_ms, _ in points]
        self._values = [value for _, value in points]
        if any(b <= a for a, b in zip(self._times, self._times[1:], strict=False)):
            raise TraceRefused("times do not rise")
        self._fast = tuple(fast)

    def millihertz(self, at_ms: int) -> int:
        """At a moment."""
        index = bisect_right(self._times, at_ms)
        if index == 0:
            return self._values[0]
        if index == len(self._times):
            return self._values[-1]
        t0, t1 = self._times[index - 1], self._times[index]
        v0, v1 = self._values[index - 1], self._values[index]
        return v0 + (v1 - v0) * (at_ms - t0) // (t1 - t0)

    def fast(self) -> Sequence[tuple[int, int]]:
        """As it was told."""
        return self._fast


class _Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    time: float
    freq: float


_schedule = msgspec.json.Decoder(list[_Point])


def from_schedule(data: bytes, start_ms: int) -> Trace:
    """A trace from the JSON of OCPP's FrequencySimulator, `[{"time": s, "freq": Hz}, ...]`. Raises `TraceRefused`."""
    try:
        points = _schedule.decode(data)
    except msgspec.DecodeError as error:
        raise TraceRefused("not a frequency schedule") from error
    return Trace([(start_ms + round(p.time * 1000), round(p.freq * 1000)) for p in points])


def from_csv(path: Path, start_ms: int, *, time_column: str = "time", value_column: str = "freq") -> Trace:
    """A trace from a CSV file with seconds and Hz; the first row is at `start_ms`. Raises `TraceRefused`."""
    if plain_file.require(path).stat().st_size > MAX_TRACE_BYTES:
        raise TraceRefused("file too long", expected=f"<= {MAX_TRACE_BYTES} bytes", found=path.stat().st_size)
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = [(float(row[time_column]), float(row[value_column])) for row in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise TraceRefused("a row is not a time and a frequency") from error
    if not rows or not all(math.isfinite(value) for row in rows for value in row):
        raise TraceRefused("no rows, or a value that is not a number")
    first = rows[0][0]
    return Trace([(start_ms + round((at - first) * 1000), round(freq * 1000)) for at, freq in rows])
