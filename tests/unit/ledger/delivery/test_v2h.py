import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import informative, v2h
from ledger.delivery.verdicts.outcome import Score, Verdict
from ledger.delivery.verdicts.v2h import Interval, Terms

START = 1_768_928_400_000


def score(intervals: list[tuple[int, int, int]], prices: tuple[int, ...], max_export_w: int = 0) -> Score:
    return v2h.score(
        start_at_ms=START,
        isp_ms=900_000,
        intervals=[Interval(grid_w=grid, evse_w=evse, coverage_ppm=covered) for grid, evse, covered in intervals],
        terms=Terms(max_export_w=max_export_w, prices_micro_per_kwh=prices),
    )


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


def test_a_price_reaction_is_told_and_not_judged() -> None:
    result = informative.score(
        algorithm=informative.PRICE_ALGORITHM,
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
            algorithm=informative.PRICE_ALGORITHM,
            start_at_ms=START,
            isp_ms=900_000,
            baseline_w=[1],
            actual_w=[1, 2],
            coverage_ppm=[1, 2],
        )
