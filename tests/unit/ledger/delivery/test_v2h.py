from typing import Any

import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import informative, v2h
from ledger.delivery.verdicts.outcome import Score, Verdict
from ledger.delivery.verdicts.v2h import Given, Interval, Terms

START = 1_768_928_400_000


def score(intervals: list[tuple[int, int, int]], prices: tuple[int, ...], max_export_w: int = 0, **more: Any) -> Score:
    given = more.pop("given", {})
    return v2h.score(
        start_at_ms=START,
        isp_ms=900_000,
        intervals=[Interval(grid_w=grid, evse_w=evse, coverage_ppm=covered) for grid, evse, covered in intervals],
        given=given,
        terms=Terms(max_export_w=max_export_w, prices_micro_per_kwh=prices, **more),
    )


QUIET = [(500, -2_000, 1_000_000)]


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (Given(exported_milliwh=1_000_000, below_reserve=0, soc_unknown=0), "DELIVERED"),
        (Given(exported_milliwh=1_000_001, below_reserve=0, soc_unknown=0), "PARTIAL"),
        (Given(exported_milliwh=0, below_reserve=1, soc_unknown=0), "PARTIAL"),
        (Given(exported_milliwh=0, below_reserve=0, soc_unknown=1), "UNPROVABLE"),
    ],
)
def test_a_battery_keeps_its_budget_and_its_reserve(given: Given, verdict: str) -> None:
    bounds = {"reserve_soc_permille": 300, "energy_budget_milliwh": 1_000_000}
    assert score(QUIET, (400_000,), given={"E1": given}, **bounds).verdict == verdict
    # Export beyond the house decides first: it is never made better by what is not known.
    assert score([(-500, -2_000, 1_000_000)], (400_000,), given={"E1": given}, **bounds).verdict is Verdict.FAILED


def test_without_a_reserve_no_state_of_charge_is_asked_for() -> None:
    given = {"E1": Given(exported_milliwh=10**9, below_reserve=0, soc_unknown=900)}
    assert score(QUIET, (400_000,), given=given).verdict is Verdict.DELIVERED


def test_what_is_fed_in_is_worth_the_export_price() -> None:
    # Without the car the house draws 1 kW at 0.40; with it, it feeds in 1 kW at 0.10: 0.10 and 0.025 for a quarter hour.
    result = score([(-1_000, -2_000, 1_000_000)], (400_000,), export_prices_micro_per_kwh=(100_000,))
    assert result.figures["saved_micro"] == 100_000 + 25_000


def test_discharge_into_the_house_saves_the_price_of_its_energy() -> None:
    # 2 kW for a quarter hour at 0.40, then 4 kW of charging at 0.10.
    result = score([(500, -2_000, 1_000_000), (6_000, 4_000, 1_000_000)], (400_000, 100_000))
    assert result.figures["saved_micro"] == 200_000 - 100_000
    assert [period.baseline_w for period in result.periods] == [2_500, 2_000]
    assert result.verdict is Verdict.DELIVERED


def test_export_beyond_the_house_is_seen() -> None:
    result = score([(-1, -2_000, 1_000_000), (0, -2_000, 1_000_000)], (0, 0))
    assert (result.periods[0].deficiency_w, result.score_ppm) == (1, 500_000)
    assert score([(-100, -2_000, 1_000_000)], (0,), max_export_w=100).verdict is Verdict.DELIVERED


def test_an_interval_without_evidence_saves_nothing_and_proves_nothing() -> None:
    result = score([(-500, -2_000, 0)], (400_000,))
    assert (result.verdict, result.figures["saved_micro"]) == (Verdict.UNPROVABLE, 0)


@pytest.mark.parametrize(
    ("intervals", "prices", "max_export_w"),
    [([], (), 0), ([(0, 0, 1)], (), 0), ([(0, 0, 1)], (0,), -1), ([(0, 0, 1)], (2**40 + 1,), 0)],
)
def test_inputs_that_do_not_fit_are_refused(
    intervals: list[tuple[int, int, int]], prices: tuple[int, ...], max_export_w: int
) -> None:
    with pytest.raises(WorkRefused):
        score(intervals, prices, max_export_w)


@pytest.mark.parametrize(
    "more",
    [
        {"reserve_soc_permille": -1},
        {"reserve_soc_permille": 1_001},
        {"energy_budget_milliwh": -1},
        {"export_prices_micro_per_kwh": (1, 2)},
        {"export_prices_micro_per_kwh": (-(2**40) - 1,)},
    ],
)
def test_bounds_that_mean_nothing_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(WorkRefused):
        score(QUIET, (400_000,), **more)


def test_a_price_reaction_is_told_and_not_judged() -> None:
    result = informative.score(
        start_at_ms=START,
        isp_ms=900_000,
        baseline_w=[1_000, 2_000],
        actual_w=[700, 2_500],
        coverage_ppm=[1_000_000, 1_000_000],
    )
    assert (result.verdict, result.score_ppm, result.figures) == (Verdict.INFORMATIVE, 0, {"reaction_w_sum": -200})


def test_a_reaction_of_uneven_series_is_refused() -> None:
    with pytest.raises(WorkRefused):
        informative.score(
            start_at_ms=START,
            isp_ms=900_000,
            baseline_w=[1],
            actual_w=[1, 2],
            coverage_ppm=[1, 2],
        )
