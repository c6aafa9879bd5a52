from typing import TYPE_CHECKING

import pytest

from ledger.delivery import samples
from ledger.delivery.curves import Corner
from ledger.delivery.errors import BaselineRefused, WorkRefused
from ledger.delivery.samples import Sample
from ledger.delivery.verdicts import droop
from ledger.delivery.verdicts.droop import Terms
from ledger.delivery.verdicts.outcome import Score, Thresholds, Verdict
from ledger.delivery.verdicts.traces import Trace

if TYPE_CHECKING:
    from conftest import Day

START = 1_768_928_400_000
POINTS = tuple(Corner(x=x, y=power_w) for x, power_w in ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000)))


def terms(**changes: object) -> Terms:
    return Terms(**({"points": POINTS, "tolerance": 550} | changes))  # type: ignore[arg-type]


def score(
    series: list[Sample] | tuple[Sample, ...],
    given: Terms,
    seconds: int = 10,
    silences: tuple[tuple[int, int], ...] = (),
) -> Score:
    return droop.score(
        start_at_ms=START,
        end_at_ms=START + seconds * 1_000,
        resources={"E7": Trace(series, 200)},
        silences={"E7": silences},
        terms=given,
    )


def steady(power_w: int, millihertz: int, seconds: int = 10) -> list[Sample]:
    return [
        Sample(START + at, power_w, millihertz, 0, 0, (at + 1_000) // 100) for at in range(-1_000, seconds * 1_000, 100)
    ]


def test_the_demo_days_droop_is_followed_in_910_of_911_seconds(day: "Day") -> None:
    result = score(samples.decode(day.droop), terms(thresholds=Thresholds(delivered_from_ppm=950_000)), 911)
    assert (result.figures["seconds"], result.figures["within"], result.figures["unproven"]) == (911, 910, 0)
    assert (result.score_ppm, result.verdict) == (998_902, Verdict.DELIVERED)
    assert result.parts["E7"]["rmse_w"] == 45


@pytest.mark.parametrize(("power_w", "verdict"), [(-6_050, "DELIVERED"), (-6_051, "FAILED"), (-4_950, "DELIVERED")])
def test_the_tolerance_is_on_either_side_of_the_curve(power_w: int, verdict: str) -> None:
    assert score(steady(power_w, 49_700), terms()).verdict == verdict


def test_base_power_lifts_the_whole_curve() -> None:
    assert score(steady(-3_500, 49_700), terms(base=2_000)).verdict is Verdict.DELIVERED


def test_seconds_without_samples_or_without_their_response_time_are_unproven() -> None:
    late = [sample for sample in steady(0, 50_000) if sample.t_ms >= START]
    result = score(late, terms())
    assert (result.figures["unproven"], result.verdict) == (1, Verdict.UNPROVABLE)
    holed = [sample for sample in steady(0, 50_000) if not START + 3_000 <= sample.t_ms < START + 4_000]
    # The second after the hole lacks its response time as well.
    assert score(holed, terms()).figures["unproven"] == 2


def test_a_frequency_that_was_not_measured_proves_nothing() -> None:
    assert score(steady(0, 0), terms()).verdict is Verdict.UNPROVABLE


def test_excused_seconds_are_not_judged() -> None:
    bad = steady(9_000, 50_000)
    result = score(bad, terms(), silences=((START, START + 10_000),))
    assert (result.verdict, result.figures["seconds"]) == (Verdict.INFORMATIVE, 0)
    assert score(bad, terms(), silences=((START, START + 9_000),)).figures["seconds"] == 1


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [({"tolerance": -1}, 10), ({"response_ms": 0}, 10), ({}, 0), ({}, 90_001)],
)
def test_terms_and_windows_out_of_range_are_refused(changes: dict[str, object], seconds: int) -> None:
    with pytest.raises(WorkRefused):
        score(steady(0, 50_000), terms(**changes), seconds)


def test_a_curve_that_does_not_rise_in_x_is_refused() -> None:
    with pytest.raises(BaselineRefused):
        score(steady(0, 50_000), terms(points=POINTS[::-1]))
