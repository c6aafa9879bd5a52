import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.verdicts import congestion
from ledger.delivery.verdicts.congestion import Actual, Terms
from ledger.delivery.verdicts.outcome import Direction, Score, Thresholds, Verdict

START = 1_768_921_200_000
BASELINE = (88_113, 88_700, 87_801, 85_853)
ACTUAL = (51_313, 47_800, 44_301, 54_653)


def score(
    baseline: tuple[int, ...] = BASELINE,
    ordered: tuple[int, ...] = (40_000,) * 4,
    actual: tuple[Actual, ...] | None = None,
    *,
    direction: Direction = Direction.UP,
    delivered_from_ppm: int = 950_000,
    partial_from_ppm: int = 500_000,
) -> Score:
    return congestion.score(
        start_at_ms=START,
        isp_ms=900_000,
        baseline_w=baseline,
        ordered_w=ordered,
        actual=actual or tuple(Actual(power_w=power) for power in ACTUAL),
        terms=Terms(
            direction=direction,
            thresholds=Thresholds(delivered_from_ppm=delivered_from_ppm, partial_from_ppm=partial_from_ppm),
        ),
    )


def test_the_demo_days_order_delivers_37_of_40_kwh() -> None:
    result = score()
    assert [period.delivered_w for period in result.periods] == [36_800, 40_000, 40_000, 31_200]
    assert [period.deficiency_w for period in result.periods] == [3_200, 0, 0, 8_800]
    assert (result.score_ppm, result.verdict) == (925_000, Verdict.PARTIAL)


def test_the_contract_decides_what_925_000_ppm_is() -> None:
    assert score(delivered_from_ppm=925_000).verdict is Verdict.DELIVERED
    assert score(delivered_from_ppm=925_001).verdict is Verdict.PARTIAL
    assert score(partial_from_ppm=925_001).verdict is Verdict.FAILED


def test_the_same_meter_data_under_another_baseline_give_another_score() -> None:
    line = score(baseline=(86_165, 86_832, 87_499, 88_166))
    assert sum(period.delivered_w for period in line.periods) == 147_397
    assert line.score_ppm == 921_231
    assert score(baseline=(92_000,) * 4).score_ppm == 983_418


def test_what_is_beyond_the_order_is_not_delivered_twice() -> None:
    result = score(actual=tuple(Actual(power_w=0) for _ in BASELINE))
    assert result.score_ppm == 1_000_000
    assert all(period.deficiency_w == 0 for period in result.periods)


def test_drawing_more_than_the_baseline_delivers_nothing_and_lacks_more_than_the_order() -> None:
    result = score(baseline=(10_000,), ordered=(2_000,), actual=(Actual(power_w=11_000),))
    assert (result.periods[0].delivered_w, result.periods[0].deficiency_w) == (0, 3_000)
    assert (result.score_ppm, result.verdict) == (0, Verdict.FAILED)


def test_an_interval_without_an_order_owes_nothing() -> None:
    result = score(baseline=(100, 100), ordered=(0, 50), actual=(Actual(power_w=900), Actual(power_w=50)))
    assert [period.deficiency_w for period in result.periods] == [0, 0]
    assert result.score_ppm == 1_000_000


def test_down_turns_baseline_and_actual_round() -> None:
    result = score(baseline=(10_000,), ordered=(2_000,), actual=(Actual(power_w=11_500),), direction=Direction.DOWN)
    assert (result.periods[0].delivered_w, result.periods[0].deficiency_w) == (1_500, 500)


def with_a_gap(coverage_ppm: int) -> tuple[Actual, ...]:
    return (Actual(power_w=ACTUAL[0], coverage_ppm=coverage_ppm), *(Actual(power_w=power) for power in ACTUAL[1:]))


def test_an_interval_that_is_not_proven_is_neither_paid_nor_penalised() -> None:
    row = score(actual=with_a_gap(899_999)).periods[0]
    assert (row.delivered_w, row.deficiency_w) == (0, 0)
    assert score(actual=with_a_gap(900_000)).periods[0].delivered_w == 36_800


def test_a_gap_that_could_decide_is_unprovable_and_one_that_could_not_does_no_harm() -> None:
    # 111,200 of 160,000 are proven; with the gap it could be 151,200.
    assert score(actual=with_a_gap(0), delivered_from_ppm=900_000).verdict is Verdict.UNPROVABLE
    assert score(actual=with_a_gap(0), delivered_from_ppm=950_000).verdict is Verdict.PARTIAL
    assert score(actual=with_a_gap(0), delivered_from_ppm=695_000).verdict is Verdict.DELIVERED


def test_an_excuse_covers_what_is_missing_and_nothing_else() -> None:
    excused = tuple(Actual(power_w=power, excused_w=5_714) for power in ACTUAL)
    result = score(actual=excused)
    assert [period.deficiency_w for period in result.periods] == [0, 0, 0, 3_086]
    assert [period.excused_w for period in result.periods] == [3_200, 0, 0, 5_714]
    assert result.figures["due_w_sum"] == 160_000 - 8_914
    assert result.score_ppm == 148_000 * 1_000_000 // 151_086


def test_an_order_that_is_wholly_excused_is_not_judged() -> None:
    result = score(baseline=(10,), ordered=(5,), actual=(Actual(power_w=10, excused_w=5),))
    assert (result.verdict, result.score_ppm) == (Verdict.INFORMATIVE, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"ordered": (0, 0, 0, 0)},
        {"ordered": (-1, 1, 1, 1)},
        {"ordered": (1, 1, 1)},
        {"baseline": (1, 2, 3)},
        {"baseline": (1, 2, 3, 1_000_000_001)},
        {"delivered_from_ppm": 1_000_001},
        {"partial_from_ppm": 960_000},
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WorkRefused) as caught:
        score(**changes)  # type: ignore[arg-type]
    assert caught.value.code == "ledger/work-inputs"


def test_the_most_intervals_are_accepted_and_one_more_is_refused() -> None:
    assert len(score((1,) * 2_976, (1,) * 2_976, (Actual(power_w=0),) * 2_976).periods) == 2_976
    with pytest.raises(WorkRefused):
        score((1,) * 2_977, (1,) * 2_977, (Actual(power_w=0),) * 2_977)
