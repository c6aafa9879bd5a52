"""The demo day as integer samples: one seed gives the numbers that the specification's worked examples quote."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from ledger.delivery import samples
from ledger.delivery.baselines import ExcludedBecause, ExcludedDay, HighXOfY, HistoryDay
from ledger.delivery.rounding import apportion
from ledger.delivery.samples import Sample
from ledger.delivery.verdicts import congestion
from ledger.delivery.verdicts.outcome import Exclusion, Reason, Thresholds
from ledger.delivery.work import CongestionWork, Participation

# The first sample that is used stands on a whole second.
EPOCH_MS = 1_768_928_400_000
STEP_MS = 100
RESOURCES = {
    "E1": (0.22, 0.35, -16_000),
    "E2": (0.25, 0.40, -16_000),
    "E3": (0.20, 0.30, -16_000),
    "E4": (0.40, 0.55, -13_200),
}
SLOW = RESOURCES | {"E4": (0.45, 0.70, -13_200)}
DROOP_CORNERS = ((49.5, -11_000), (49.9, 0), (50.1, 0), (50.5, 11_000))


@dataclass(frozen=True)
class Day:
    """`limit_w` are the 15 s group values of the mandatory limit; `bodies` by EVSE from 10 s before t0 on."""

    history: tuple[tuple[int, ...], ...]
    limit_w: tuple[int, ...]
    t0_at_ms: int
    start_at_ms: int
    end_at_ms: int
    bodies: dict[str, bytes]
    droop: bytes


def _frequency(t: float) -> float:
    if t < 0:
        return 49.985
    if t < 1.6:
        return 49.985 - 0.33 * t
    if t < 12:
        return 49.457 + (49.72 - 49.457) * (t - 1.6) / 10.4
    if t < 240:
        return 49.72 + (49.95 - 49.72) * (t - 12) / 228
    return 49.95


def _power(t: float, t0: float, delay: float, ramp: float, step: float) -> float:
    if t < t0 + delay:
        return 10_000
    if t < t0 + 34:
        return 10_000 + step * min(1, (t - t0 - delay) / ramp)
    return 10_000 + step * max(0, 1 - (t - t0 - 34) / 6)


def _curve(hertz: float) -> float:
    if hertz <= DROOP_CORNERS[0][0]:
        return DROOP_CORNERS[0][1]
    for (left, low), (right, high) in pairwise(DROOP_CORNERS):
        if hertz <= right:
            return low + (high - low) * (hertz - left) / (right - left)
    return DROOP_CORNERS[-1][1]


def _droop(draws: random.Random, hertz: Sequence[float]) -> list[int]:
    power, powers = 0.0, []
    for place in range(len(hertz)):
        target = _curve(hertz[max(0, place - 2)])
        power += (target - power) * (1 - 2.718281828 ** (-0.1 / 0.35))
        powers.append(round(power + draws.gauss(0, 40)))
    return powers


def play(resources: dict[str, tuple[float, float, int]]) -> Day:
    """The order of the draws is part of the scenario."""
    draws = random.Random(63_382)
    shape = (52, 54, 55, 57, 58, 60, 63, 66, 70, 74, 78, 81, 84, 86, 88, 90, 92, 93, 92, 90)
    levels = (1.02, 0.95, 1.06, 0.90, 1.00, 1.08, 0.97, 1.04, 0.93, 1.01)
    history = tuple(
        tuple(round(level * 92 * part * 1000 / 92 * 0.86 + draws.uniform(-1500, 1500)) for part in shape)
        for level in levels
    )
    limit = [61_000 if t < 30 else 41_000 if t < 45 else 32_900 + draws.randint(-400, 500) for t in range(0, 900, 15)]
    times = [round(-10 - 1.2 + place * 0.1, 1) for place in range(int(914 / 0.1) + 1)]
    hertz = [round(_frequency(t) + draws.gauss(0, 0.0015), 4) for t in times]
    trigger = next(place for place, value in enumerate(hertz) if value < 49.6)
    powers = {
        name: [round(_power(t, times[trigger], *shape_of) + draws.gauss(0, 60)) for t in times]
        for name, shape_of in resources.items()
    }
    droop = _droop(draws, hertz)
    used = range(trigger - 100, trigger + 9_001)

    def body(series: Sequence[int], earlier: int = 0) -> bytes:
        return samples.encode(
            Sample(
                t_ms=EPOCH_MS + (place - used.start) * STEP_MS,
                power_w=series[place],
                freq_millihertz=round(hertz[place] * 1000),
                setpoint_w=0,
                status=0,
                seq=(place - used.start) % 65_536,
            )
            for place in range(used.start - earlier, used.stop)
        )

    return Day(
        history=history,
        limit_w=tuple(limit),
        t0_at_ms=EPOCH_MS + 10_000,
        start_at_ms=EPOCH_MS,
        end_at_ms=EPOCH_MS + (len(used) - 1) * STEP_MS,
        bodies={name: body(series) for name, series in powers.items()},
        # The droop's response time reaches one second further back.
        droop=body(droop, earlier=10),
    )


@pytest.fixture(scope="session")
def day() -> Day:
    return play(RESOURCES)


@pytest.fixture(scope="session")
def slow_day() -> Day:
    """The same day with a slower E4: 58,614 W at 1.0 s."""
    return play(SLOW)


@pytest.fixture(scope="session")
def history_days() -> tuple[str, ...]:
    """The ten reference days; 6 January is a public holiday, the other gaps are week-ends."""
    return tuple(f"2026-01-{day:02d}" for day in (5, 7, 8, 9, 12, 13, 14, 15, 16, 19))


@pytest.fixture(scope="session")
def fsr_a_baseline(day: Day, history_days: tuple[str, ...]) -> HighXOfY:
    """HIGH 5 of 10 for 17:00-18:00 with the same-day factor of 13:00-15:00."""
    holiday = [ExcludedDay(date="2026-01-06", reason=ExcludedBecause.PUBLIC_HOLIDAY)]
    weekends = [
        ExcludedDay(date=f"2026-01-{day:02d}", reason=ExcludedBecause.OTHER_DAY_TYPE) for day in (10, 11, 17, 18)
    ]
    return HighXOfY(
        event_date="2026-01-20",
        history=tuple(
            HistoryDay(date=name, isp_mean_w=means) for name, means in zip(history_days, day.history, strict=True)
        ),
        excluded=(*holiday, *weekends),
        x=5,
        y=10,
        event_isps=(16, 17, 18, 19),
        adjustment_isps=tuple(range(8)),
        adjustment_actual_w=(49_790, 51_757, 52_848, 54_604, 55_948, 57_216, 60_690, 62_998),
    )


FSR_A_START_MS = 1_768_921_200_000
"""20 January 2026, 17:00 in Helsinki."""
FSR_A_ACTUAL_W = (51_313, 47_800, 44_301, 54_653)
FSR_A_NAMES = ("E1", "E2", "E3", "E4", "E5", "E7", "E8")


def minutes_of(powers_w: Sequence[int], start_at_ms: int = FSR_A_START_MS) -> bytes:
    """One sample a minute, the same power for the 15 minutes of each ISP."""
    return samples.encode(
        Sample(
            t_ms=start_at_ms + minute * 60_000,
            power_w=powers_w[minute // 15],
            freq_millihertz=0,
            setpoint_w=0,
            status=0,
            seq=minute,
        )
        for minute in range(15 * len(powers_w))
    )


@pytest.fixture(scope="session")
def fsr_a(fsr_a_baseline: HighXOfY) -> CongestionWork:
    """Seven of eight EVSEs; their means add up to the group's measured values exactly."""
    shares = [apportion(power_w, [1] * len(FSR_A_NAMES)) for power_w in FSR_A_ACTUAL_W]
    orders = apportion(40_000, [1] * len(FSR_A_NAMES))
    return CongestionWork(
        start_at_ms=FSR_A_START_MS,
        end_at_ms=FSR_A_START_MS + 3_600_000,
        participations=tuple(
            Participation(participation_id=name, ordered_w=order)
            for name, order in zip((*FSR_A_NAMES, "E6"), (*orders, 0), strict=True)
        ),
        bodies={name: (minutes_of([share[place] for share in shares]),) for place, name in enumerate(FSR_A_NAMES)},
        exclusions=(Exclusion(participation_id="E6", reason=Reason.OPTED_OUT),),
        isp_ms=900_000,
        baseline=fsr_a_baseline,
        ordered_w=(40_000,) * 4,
        terms=congestion.Terms(thresholds=Thresholds(delivered_from_ppm=950_000, partial_from_ppm=500_000)),
    )
