import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import reserve
from ledger.delivery.verdicts.congestion import Actual
from ledger.delivery.verdicts.outcome import Score, Thresholds, Verdict
from ledger.delivery.verdicts.reserve import Terms

START = 1_768_928_400_000


def score(actual_w: list[int], exported: dict[str, int], **changes: object) -> Score:
    given: dict[str, object] = {
        "full_ms": 750_000,
        "energy_budget_milliwh": 5_000_000,
        "thresholds": Thresholds(delivered_from_ppm=950_000, partial_from_ppm=500_000),
    }
    return reserve.score(
        start_at_ms=START,
        interval_ms=60_000,
        baseline_w=[0] * len(actual_w),
        ordered_w=[20_000] * len(actual_w),
        actual=[Actual(power_w=power) for power in actual_w],
        exported_milliwh=exported,
        terms=Terms(**(given | changes)),  # type: ignore[arg-type]
    )


def test_nothing_is_due_before_full_activation() -> None:
    # 12.5 minutes to full activation: the 13 minutes that begin before it owe nothing.
    result = score([0] * 13 + [-20_000] * 2, {"E1": 1})
    assert [period.ordered_w for period in result.periods] == [0] * 13 + [20_000] * 2
    assert (result.score_ppm, result.verdict) == (1_000_000, Verdict.DELIVERED)


def test_a_battery_drained_beyond_its_budget_makes_it_partial_at_best() -> None:
    result = score([0] * 13 + [-20_000] * 2, {"E1": 5_000_001, "E2": 5_000_000})
    assert (result.verdict, result.figures["over_budget"]) == (Verdict.PARTIAL, 1)
    assert result.parts == {
        "E1": {"exported_milliwh": 5_000_001, "over_budget": 1},
        "E2": {"exported_milliwh": 5_000_000, "over_budget": 0},
    }


def test_what_failed_stays_failed() -> None:
    assert score([0] * 15, {"E1": 6_000_000}).verdict is Verdict.FAILED


@pytest.mark.parametrize("changes", [{"full_ms": -1}, {"energy_budget_milliwh": -1}, {"full_ms": 900_000}])
def test_terms_out_of_range_or_an_order_never_due_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WorkRefused):
        score([0] * 15, {}, **changes)
