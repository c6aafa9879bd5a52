"""How power answers frequency: a curve with memory (a fast reserve) or without (a droop)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from api.execution.port import FrequencyPoint

PERMILLE = 1000
FILTER_DELAY_MS = 200
FILTER_TAU_MS = 350


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTraits:
    """What the hardware makes of a response: `delay_ms` nothing, `ramp_ms` to full, then `gain_permille` of it."""

    delay_ms: int = 220
    ramp_ms: int = 350
    gain_permille: int = 1000


def curve_w(points: Sequence[FrequencyPoint], millihertz: int) -> int:
    """The curve at a frequency: straight between corners, flat outside."""
    if millihertz <= points[0].freq_millihertz:
        return points[0].power_w
    for left, right in pairwise(points):
        if millihertz <= right.freq_millihertz:
            rise = (right.power_w - left.power_w) * (millihertz - left.freq_millihertz)
            return left.power_w + rise // (right.freq_millihertz - left.freq_millihertz)
    return points[-1].power_w


class Latched:
    """Once the curve leaves zero: delay, ramp, hold for `hold_ms` after the trigger, release; then armed again."""

    def __init__(
        self,
        points: Sequence[FrequencyPoint],
        traits: ResponseTraits,
        hold_ms: int,
        release_permille_per_s: int,
    ) -> None:
        self._points = points
        self._traits = traits
        self._hold_ms = hold_ms
        self._release = release_permille_per_s
        self._since_ms: int | None = None
        self._depth_w = 0

    def at(self, at_ms: int, frequency: Callable[[int], int]) -> tuple[int, int]:
        """(response in W, what was asked for) at a moment; moments come in order."""
        wanted_w = curve_w(self._points, frequency(at_ms))
        if self._since_ms is None:
            if wanted_w == 0:
                return 0, 0
            self._since_ms, self._depth_w = at_ms, wanted_w
        elif abs(wanted_w) > abs(self._depth_w):
            self._depth_w = wanted_w
        elapsed_ms = at_ms - self._since_ms
        traits = self._traits
        rise = min(PERMILLE, max(0, (elapsed_ms - traits.delay_ms) * PERMILLE // max(1, traits.ramp_ms)))
        released = max(0, elapsed_ms - self._hold_ms) * self._release // 1000
        share = rise - released
        if released and share <= 0:
            self._since_ms = None
            return 0, 0
        full_w = self._depth_w * traits.gain_permille
        asked_w = self._depth_w * max(0, PERMILLE - released) // PERMILLE
        return round(full_w * share / (PERMILLE * PERMILLE)), asked_w


class Filtered:
    """The curve of the frequency a moment ago, through a first-order lag."""

    def __init__(self, points: Sequence[FrequencyPoint]) -> None:
        self._points = points
        self._value_w = 0.0
        self._at_ms: int | None = None

    def at(self, at_ms: int, frequency: Callable[[int], int]) -> tuple[int, int]:
        """(response in W, what the curve asks now) at a moment; moments come in order."""
        target_w = curve_w(self._points, frequency(at_ms - FILTER_DELAY_MS))
        if self._at_ms is None:
            self._value_w = float(target_w)
        else:
            passed = 1 - math.exp(-(at_ms - self._at_ms) / FILTER_TAU_MS)
            self._value_w += (target_w - self._value_w) * passed
        self._at_ms = at_ms
        return round(self._value_w), curve_w(self._points, frequency(at_ms))
