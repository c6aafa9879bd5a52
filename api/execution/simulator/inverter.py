"""What an inverter does beside charging: a curve of voltage or of power, with a lag; reactive power; and a building.

Reactive power > 0 is absorbed. The lag is of first order and reaches 90 % of a step in the response time.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from api.execution.port import ArmInverterCurve, ControlPoint
from api.execution.simulator.demand import Demand


class Powered(Protocol):
    """What draws power."""

    @property
    def power_w(self) -> int:
        """Now; > 0 is import."""
        ...


class Rated(Protocol):
    """What a curve's percents are of."""

    @property
    def max_charge_w(self) -> int: ...
    @property
    def max_discharge_w(self) -> int: ...
    @property
    def max_absorb_var(self) -> int: ...
    @property
    def max_inject_var(self) -> int: ...


WHOLE = 100_000
"""Thousandths of a percent in the whole."""
SETTLED_SHARE = math.log(10)
NOMINAL_MILLIVOLT = 230_000

Voltage = Callable[[int], int]
"""mV between phase and neutral at a moment."""


def steady_voltage(at_ms: int) -> int:
    """Always the nominal voltage."""
    del at_ms
    return NOMINAL_MILLIVOLT


@dataclass(slots=True)
class House:
    """A building behind one grid connection: what it draws, and the EVSEs that are in it."""

    demand: Demand
    evses: list[Powered] = field(default_factory=list)

    def draws_w(self, at_ms: int) -> int:
        """Without its EVSEs."""
        return self.demand.at(at_ms)[0]

    def connection_w(self, at_ms: int) -> int:
        """At the grid connection; > 0 is import."""
        return self.draws_w(at_ms) + sum(evse.power_w for evse in self.evses)


class Curve:
    """One armed DER curve: y in W or var, following x with the response time; it ends at `until_ms`."""

    def __init__(self, command: ArmInverterCurve, config: Rated, at_ms: int) -> None:
        self.kind = command.curve_type
        self.until_ms = at_ms + command.duration_s * 1_000
        self._points = tuple(_corner(point, command, config) for point in command.points)
        self._reference = command.reference_millivolt or NOMINAL_MILLIVOLT
        self._tau_ms = max(1.0, command.response_ms / SETTLED_SHARE)
        self._value: float | None = None
        self._at_ms = at_ms

    @property
    def is_of_power(self) -> bool:
        """It sets active power; the others set reactive power."""
        return self.kind == "VoltWatt"

    def at(self, at_ms: int, voltage: Voltage, power_w: int) -> int:
        """W or var at a moment; moments come in order."""
        x = float(power_w) if self.kind == "WattVar" else voltage(at_ms) * WHOLE / self._reference
        target = _read(self._points, x)
        if self._value is None:
            self._value = target
        else:
            self._value += (target - self._value) * (1 - math.exp(-(at_ms - self._at_ms) / self._tau_ms))
        self._at_ms = at_ms
        return round(self._value)


def _corner(point: ControlPoint, command: ArmInverterCurve, config: Rated) -> tuple[float, float]:
    power = (config.max_charge_w, config.max_discharge_w)
    x = float(point.x_millipercent)
    if command.curve_type == "WattVar":
        x = _of(point.x_millipercent, *power)
    y_of = power if command.curve_type == "VoltWatt" else (config.max_absorb_var, config.max_inject_var)
    return x, _of(point.y_millipercent, *y_of)


def _of(millipercent: int, most: int, least: int) -> float:
    return millipercent * (most if millipercent >= 0 else least) / WHOLE


def _read(points: Sequence[tuple[float, float]], x: float) -> float:
    """Straight between corners, flat outside."""
    if x <= points[0][0]:
        return points[0][1]
    for (left, low), (right, high) in pairwise(points):
        if x <= right:
            return low + (high - low) * (x - left) / (right - left)
    return points[-1][1]
