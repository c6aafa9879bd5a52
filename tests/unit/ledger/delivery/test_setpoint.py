import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.samples import Sample
from ledger.delivery.verdicts import setpoint
from ledger.delivery.verdicts.outcome import Score, Thresholds, Verdict
from ledger.delivery.verdicts.setpoint import Setpoint, Terms
from ledger.delivery.verdicts.traces import Trace

START = 1_768_928_400_000
LENIENT = Thresholds(delivered_from_ppm=900_000, partial_from_ppm=500_000)


def terms(**changes: object) -> Terms:
    given: dict[str, object] = {"reference_w": 10_000, "tolerance_w": 500, "ramp_ms": 2_000, "thresholds": LENIENT}
    return Terms(**(given | changes))  # type: ignore[arg-type]


def score(
    powers: list[int], given: Terms, steps: tuple[tuple[int, int], ...], silences: tuple[tuple[int, int], ...] = ()
) -> Score:
    series = [Sample(START + at * 1_000, power, 0, 0, 0, at) for at, power in enumerate(powers)]
    points = tuple(Setpoint(start_at_ms=START + at * 1_000, power_w=power) for at, power in steps)
    return setpoint.score(
        start_at_ms=START,
        end_at_ms=START + 10_000,
        resources={"E1": (Trace(series, 1_000), points)},
        silences={"E1": silences},
        terms=given,
    )


def test_tracking_is_one_minus_the_mean_error_over_the_reference() -> None:
    result = score([7_000] * 5 + [8_000] * 5, terms(), ((-10, 7_000),))
    assert result.figures["tracking_ppm"] == 950_000
    assert result.figures["in_band_ppm"] == 500_000
    assert result.parts["E1"]["rmse_w"] == 707
    assert (result.score_ppm, result.verdict) == (950_000, Verdict.DELIVERED)


def test_the_ramp_after_a_change_is_not_judged_and_a_repeat_starts_no_new_one() -> None:
    changed = score([0] * 10, terms(), ((-10, 0), (5, 9_000)))
    assert changed.figures["judged"] == 8
    repeated = score([0] * 10, terms(), ((-10, 0), (5, 0), (6, 0)))
    assert repeated.figures["judged"] == 10


def test_nothing_is_due_before_the_first_setpoint() -> None:
    assert score([0] * 10, terms(), ((4, 0),)).figures["judged"] == 4
    assert score([0] * 10, terms(), ((20, 0),)).verdict is Verdict.INFORMATIVE


def test_an_error_beyond_the_reference_counts_once() -> None:
    assert score([50_000] * 10, terms(), ((-10, 0),)).score_ppm == 0


def test_a_good_mean_with_a_bad_share_in_band_is_partial() -> None:
    off = [7_600] * 10
    assert score(off, terms(), ((-10, 7_000),)).verdict is Verdict.DELIVERED
    assert score(off, terms(min_in_band_ppm=800_000), ((-10, 7_000),)).verdict is Verdict.PARTIAL
    gap = score([7_000] * 9, terms(min_in_band_ppm=1_000_000), ((-10, 7_000),))
    assert gap.verdict is Verdict.UNPROVABLE


def test_missing_seconds_are_unprovable_where_they_could_decide() -> None:
    assert score([7_000] * 7, terms(), ((-10, 7_000),)).verdict is Verdict.UNPROVABLE
    assert score([7_000] * 9, terms(), ((-10, 7_000),)).verdict is Verdict.DELIVERED


def test_excused_instants_are_not_judged() -> None:
    result = score([0] * 10, terms(), ((-10, 9_000),), silences=((START, START + 6_000),))
    assert result.figures["judged"] == 4


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"reference_w": 0}, ((0, 0),)),
        ({"tolerance_w": -1}, ((0, 0),)),
        ({"ramp_ms": -1}, ((0, 0),)),
        ({"interval_ms": 0}, ((0, 0),)),
        ({"min_in_band_ppm": 1_000_001}, ((0, 0),)),
        ({}, ()),
        ({}, ((1, 0), (1, 0))),
        ({}, ((1, 1_000_000_001),)),
    ],
)
def test_terms_and_setpoints_out_of_range_are_refused(
    changes: dict[str, object], steps: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(WorkRefused):
        score([0] * 10, terms(**changes), steps)


def test_a_window_of_too_many_instants_is_refused() -> None:
    given = terms(interval_ms=1)
    points = (Setpoint(start_at_ms=START, power_w=0),)
    with pytest.raises(WorkRefused, match="window"):
        setpoint.score(
            start_at_ms=START,
            end_at_ms=START + 90_001,
            resources={"E1": (Trace([], 1_000), points)},
            silences={},
            terms=given,
        )
