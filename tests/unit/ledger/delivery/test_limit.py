from typing import TYPE_CHECKING

import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import limit
from ledger.delivery.verdicts.limit import Terms
from ledger.delivery.verdicts.outcome import Score, Thresholds, Verdict

if TYPE_CHECKING:
    from conftest import Day

START = 1_768_928_400_000
CAP = Terms(import_cap_w=33_600)


def score(actual: list[int], terms: Terms = CAP, coverage: list[int] | None = None) -> Score:
    return limit.score(
        first_at_ms=START,
        interval_ms=15_000,
        actual_w=actual,
        coverage_ppm=coverage or [1_000_000] * len(actual),
        terms=terms,
    )


def test_the_demo_days_limit_is_kept_in_56_of_56_intervals(day: "Day") -> None:
    # 60 s to comply are four values of 15 s.
    result = score(list(day.limit_w[4:]))
    assert result.figures == {"intervals": 56, "kept": 56, "unproven": 0, "max_w": 33_388, "min_w": 32_546}
    assert (result.score_ppm, result.verdict) == (1_000_000, Verdict.DELIVERED)


def test_the_first_minute_would_have_failed_it(day: "Day") -> None:
    assert score(list(day.limit_w)).verdict is Verdict.PARTIAL


def test_the_cap_itself_is_kept_and_one_watt_more_is_not() -> None:
    assert score([33_600]).verdict is Verdict.DELIVERED
    broken = score([33_601])
    assert (broken.verdict, broken.periods[0].deficiency_w) == (Verdict.FAILED, 1)


def test_an_export_cap_bounds_the_other_side() -> None:
    terms = Terms(export_cap_w=5_000)
    assert score([-5_000, 99_000], terms).verdict is Verdict.DELIVERED
    broken = score([-5_200], terms)
    assert (broken.periods[0].baseline_w, broken.periods[0].deficiency_w) == (-5_000, 200)


def test_unproven_intervals_are_unprovable_only_where_they_could_decide() -> None:
    lenient = Terms(import_cap_w=100, thresholds=Thresholds(delivered_from_ppm=500_000))
    gap = [1_000_000, 0]
    assert score([50, 50], coverage=gap, terms=Terms(import_cap_w=100)).verdict is Verdict.UNPROVABLE
    assert score([50, 50], coverage=gap, terms=lenient).verdict is Verdict.DELIVERED
    assert "max_w" not in score([50], coverage=[0]).figures


@pytest.mark.parametrize(
    ("actual", "terms", "coverage"),
    [
        ([], CAP, []),
        ([1], Terms(), None),
        ([1], Terms(import_cap_w=-1), None),
        ([1], Terms(import_cap_w=1, min_coverage_ppm=-1), None),
        ([1], CAP, [1, 2]),
        ([1], CAP, [1_000_001]),
        ([1], Terms(import_cap_w=1, thresholds=Thresholds(delivered_from_ppm=-1)), None),
    ],
)
def test_inputs_that_do_not_fit_are_refused(actual: list[int], terms: Terms, coverage: list[int] | None) -> None:
    with pytest.raises(WorkRefused):
        score(actual, terms, coverage)
