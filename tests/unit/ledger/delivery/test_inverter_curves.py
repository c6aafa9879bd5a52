"""P(U), Q(U) and Q(P): what is read from a sample, in which unit, with which sign."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ledger.delivery import samples, work
from ledger.delivery.curves import Corner
from ledger.delivery.errors import WorkRefused
from ledger.delivery.samples import AnySample, Measured, Sample, WideSample
from ledger.delivery.verdicts import droop
from ledger.delivery.verdicts.droop import Axes, Terms
from ledger.delivery.verdicts.outcome import Score, Verdict
from ledger.delivery.verdicts.traces import Trace
from ledger.delivery.work import Participation, VoltVarWork, VoltWattWork, WattVarWork

START = 1_768_928_400_000
V230 = 230_000
GRID = int(Measured.VOLTAGE | Measured.REACTIVE)
# Reactive power is injected (< 0) where the voltage is low and absorbed (> 0) where it is high.
VOLT_VAR = tuple(Corner(x=x, y=y) for x, y in ((9_300, -4_800), (9_700, 0), (10_300, 0), (10_700, 4_800)))
# Charging is reduced where the voltage is low.
VOLT_WATT = tuple(Corner(x=x, y=y) for x, y in ((9_000, 0), (9_500, 11_000)))
# Reactive power is absorbed against what is fed in.
WATT_VAR = tuple(Corner(x=x, y=y) for x, y in ((-11_000, 4_800), (-5_500, 0), (0, 0)))


def steady(millivolt: int, power_w: int, var: int, seconds: int = 20, measured: int = GRID) -> list[WideSample]:
    return [
        WideSample(START + at * 1_000, power_w, 50_000, 0, 0, at % 65_536, millivolt, var, 0, 0, measured)
        for at in range(-2, seconds)
    ]


def score(
    axes: Axes, corners: Sequence[Corner], series: Sequence[AnySample], tolerance: int = 50, **more: Any
) -> Score:
    terms = Terms(points=tuple(corners), tolerance=tolerance, response_ms=2_000, **more)
    return droop.score(
        start_at_ms=START,
        end_at_ms=START + 20_000,
        resources={"E7": Trace(series, 2_000)},
        silences={},
        terms=terms,
        axes=axes,
    )


@pytest.mark.parametrize(
    ("millivolt", "var", "verdict"),
    [
        # 95 % of 230 V is in the middle of the falling side: 2,400 var are injected.
        (218_500, -2_400, "DELIVERED"),
        (218_500, -2_450, "DELIVERED"),
        (218_500, -2_451, "FAILED"),
        # The sign decides: as much absorbed makes a low voltage lower.
        (218_500, 2_400, "FAILED"),
        (241_500, 2_400, "DELIVERED"),
        (241_500, -2_400, "FAILED"),
        (230_000, 0, "DELIVERED"),
        (200_000, -4_800, "DELIVERED"),
        (260_000, 4_800, "DELIVERED"),
    ],
)
def test_reactive_power_follows_the_voltage(millivolt: int, var: int, verdict: str) -> None:
    result = score(Axes.Q_OF_U, VOLT_VAR, steady(millivolt, 7_000, var), reference_millivolt=V230)
    assert (result.verdict, result.algorithm) == (Verdict(verdict), "VOLT_VAR_SHARE/1")
    assert result.parts["E7"]["min_var"] == var


@pytest.mark.parametrize(
    ("reference_millivolt", "verdict"), [(230_000, "DELIVERED"), (400_000, "FAILED"), (230, "FAILED")]
)
def test_the_voltage_is_a_share_of_the_reference_in_the_same_unit(reference_millivolt: int, verdict: str) -> None:
    series = steady(218_500, 0, -2_400)
    assert score(Axes.Q_OF_U, VOLT_VAR, series, reference_millivolt=reference_millivolt).verdict == verdict


@pytest.mark.parametrize(("power_w", "verdict"), [(5_500, "DELIVERED"), (5_551, "FAILED"), (-5_500, "FAILED")])
def test_power_follows_the_voltage(power_w: int, verdict: str) -> None:
    # 92.5 % of 230 V.
    result = score(Axes.P_OF_U, VOLT_WATT, steady(212_750, power_w, 0), reference_millivolt=V230)
    assert (result.verdict, result.algorithm) == (Verdict(verdict), "VOLT_WATT_SHARE/1")
    assert result.parts["E7"]["max_w"] == power_w


@pytest.mark.parametrize(
    ("power_w", "var", "verdict"),
    [(-8_250, 2_400, "DELIVERED"), (-8_250, -2_400, "FAILED"), (8_250, 0, "DELIVERED"), (8_250, 2_400, "FAILED")],
)
def test_reactive_power_follows_power(power_w: int, var: int, verdict: str) -> None:
    result = score(Axes.Q_OF_P, WATT_VAR, steady(0, power_w, var, measured=int(Measured.REACTIVE)))
    assert (result.verdict, result.algorithm) == (Verdict(verdict), "WATT_VAR_SHARE/1")


def test_the_curve_is_read_at_the_mean_of_the_response_time() -> None:
    # The voltage falls by 1 % a second; with two seconds of response the curve is read one step back.
    series = [
        WideSample(START + at * 1_000, 0, 0, 0, 0, at + 2, V230 - max(0, at - 5) * 2_300, 0, 0, 0, GRID)
        for at in range(-2, 20)
    ]
    centipct = [10_000 - max(0, at - 5) * 100 for at in range(-2, 20)]
    answered = [
        one._replace(
            reactive_var=_expected(sum(centipct[max(0, at - 2) : at + 1]), len(centipct[max(0, at - 2) : at + 1]))
        )
        for at, one in enumerate(series)
    ]
    assert score(Axes.Q_OF_U, VOLT_VAR, answered, tolerance=1, reference_millivolt=V230).verdict is Verdict.DELIVERED
    at_once = [one._replace(reactive_var=_expected(volt, 1)) for one, volt in zip(series, centipct, strict=True)]
    assert score(Axes.Q_OF_U, VOLT_VAR, at_once, tolerance=1, reference_millivolt=V230).figures["within"] == 16


def _expected(total: int, count: int) -> int:
    volt = total / count
    if volt >= 9_700:
        return 0
    return round(max(-4_800, -4_800 * (9_700 - volt) / 400))


@pytest.mark.parametrize(
    ("axes", "corners", "measured"),
    [
        (Axes.Q_OF_U, VOLT_VAR, Measured.REACTIVE),
        (Axes.Q_OF_U, VOLT_VAR, Measured.VOLTAGE),
        (Axes.P_OF_U, VOLT_WATT, Measured.REACTIVE),
        (Axes.Q_OF_P, WATT_VAR, Measured.VOLTAGE),
    ],
)
def test_what_was_not_measured_proves_nothing(axes: Axes, corners: tuple[Corner, ...], measured: Measured) -> None:
    volt = 218_500 if measured & Measured.VOLTAGE else 0
    var = -2_400 if measured & Measured.REACTIVE else 0
    series = steady(volt, 0, var, measured=int(measured))
    result = score(axes, corners, series, reference_millivolt=V230)
    assert (result.verdict, result.figures["unproven"]) == (Verdict.UNPROVABLE, 20)


def test_plain_samples_have_no_voltage() -> None:
    series = [Sample(START + at * 1_000, 0, 50_000, 0, 0, at + 2) for at in range(-2, 20)]
    assert score(Axes.Q_OF_U, VOLT_VAR, series, reference_millivolt=V230).verdict is Verdict.UNPROVABLE


def test_a_curve_over_voltage_needs_a_reference() -> None:
    for axes, corners in ((Axes.Q_OF_U, VOLT_VAR), (Axes.P_OF_U, VOLT_WATT)):
        with pytest.raises(WorkRefused):
            score(axes, corners, steady(V230, 0, 0))


@pytest.mark.parametrize(
    ("kind", "service", "corners"),
    [(VoltWattWork, "VOLT_WATT", VOLT_WATT), (VoltVarWork, "VOLT_VAR", VOLT_VAR), (WattVarWork, "WATT_VAR", WATT_VAR)],
)
def test_each_class_recomputes_from_wide_bodies(
    kind: type[VoltWattWork | VoltVarWork | WattVarWork], service: str, corners: tuple[Corner, ...]
) -> None:
    # At 95 % and above, and while charging, each of the three curves asks for what stands here.
    body = samples.encode(steady(230_000, 11_000, 0))
    inputs = kind(
        start_at_ms=START,
        end_at_ms=START + 20_000,
        participations=(Participation(participation_id="E7"),),
        bodies={"E7": (body,)},
        max_hold_ms=2_000,
        terms=Terms(points=corners, tolerance=0, response_ms=2_000, reference_millivolt=V230),
    )
    result = work.recompute(inputs)
    assert (result.service_class, result.verdict, result.figures["within"]) == (service, Verdict.DELIVERED, 20)
    assert result.participations[0].batch_roots == (samples.root(body).hex(),)
    again = work.decode_inputs(msgspec.json.encode(inputs))
    assert work.encode(work.recompute(again)) == work.encode(result)
