import msgspec
import pytest

from ledger.delivery import baselines
from ledger.delivery.baselines import (
    MAX_DAYS,
    MAX_INTERVALS,
    BaselineInputs,
    Curve,
    CurvePoint,
    ExcludedBecause,
    ExcludedDay,
    HighXOfY,
    HistoryDay,
    Limit,
    MeterBeforeMeterAfter,
    Nomination,
    PreEvent,
    Zero,
)
from ledger.delivery.errors import BaselineDaysRefused, BaselineRefused


def test_high_5_of_10_gives_the_demo_days_baseline(fsr_a_baseline: HighXOfY) -> None:
    result = baselines.compute(fsr_a_baseline)
    assert result.selected_days == ("2026-01-05", "2026-01-08", "2026-01-13", "2026-01-15", "2026-01-19")
    assert result.unadjusted_w == (82_349, 82_898, 82_057, 80_237)
    assert result.series_w == (88_113, 88_700, 87_801, 85_853)
    assert result.factor_ppm == 1_069_995


def small(days: dict[str, int], **changes: object) -> HighXOfY:
    history = tuple(HistoryDay(date=date, isp_mean_w=(power, power)) for date, power in days.items())
    given: dict[str, object] = {
        "event_date": "2026-03-05",
        "history": history,
        "excluded": (),
        "x": 1,
        "y": len(history),
        "event_isps": (1,),
        "adjustment_isps": (),
        "adjustment_actual_w": (),
    }
    return HighXOfY(**(given | changes))  # type: ignore[arg-type]


THREE = {"2026-03-02": 500, "2026-03-03": 700, "2026-03-04": 700}


def test_of_two_equal_days_the_earlier_one_is_taken() -> None:
    assert baselines.compute(small(THREE)).selected_days == ("2026-03-03",)
    assert baselines.compute(small(THREE, x=2)).selected_days == ("2026-03-03", "2026-03-04")


def test_a_mean_that_ends_in_half_goes_to_the_even_neighbour() -> None:
    days = {"2026-03-03": 700, "2026-03-04": 701}
    assert baselines.compute(small(days, x=2)).series_w == (700,)


@pytest.mark.parametrize(("actual", "factor", "series"), [(10_000, 1_200_000, 840), (10, 800_000, 560)])
def test_the_same_day_factor_keeps_to_its_caps(actual: int, factor: int, series: int) -> None:
    result = baselines.compute(small(THREE, adjustment_isps=(0,), adjustment_actual_w=(actual,)))
    assert (result.factor_ppm, result.series_w) == (factor, (series,))


def test_a_day_left_out_without_a_reason_is_refused_and_named() -> None:
    days = {"2026-03-02": 500, "2026-03-04": 700}
    with pytest.raises(BaselineDaysRefused) as caught:
        baselines.compute(small(days))
    assert (caught.value.code, caught.value.found) == ("ledger/baseline-days", "2026-03-03")
    reasoned = ExcludedDay(date="2026-03-03", reason=ExcludedBecause.EVENT_DAY)
    assert baselines.compute(small(days, excluded=(reasoned,))).series_w == (700,)


def test_a_day_both_used_and_excluded_is_refused() -> None:
    both = ExcludedDay(date="2026-03-03", reason=ExcludedBecause.METER_FAULT)
    with pytest.raises(BaselineDaysRefused) as caught:
        baselines.compute(small(THREE, excluded=(both,)))
    assert caught.value.found == "2026-03-03"


@pytest.mark.parametrize(
    "changes",
    [
        {"y": 2},
        {"event_date": "2026-03-02"},
        {"event_date": "20260305"},
        {"event_date": "2026-13-05"},
        {"event_date": "2028-03-05"},
        {"history": tuple(HistoryDay(date=date, isp_mean_w=(1, 1)) for date in sorted(THREE, reverse=True))},
        {"excluded": tuple(ExcludedDay(date="2026-03-01", reason=ExcludedBecause.EVENT_DAY) for _ in range(361))},
    ],
)
def test_days_that_do_not_add_up_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BaselineDaysRefused):
        baselines.compute(small(THREE, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": 0},
        {"x": 4},
        {"event_isps": ()},
        {"event_isps": (2,)},
        {"event_isps": (-1,)},
        {"event_isps": (1, 1)},
        {"adjustment_isps": (0,)},
        {"adjustment_isps": (0,), "adjustment_actual_w": (2_000_000_000,)},
        {"min_factor_ppm": 0},
        {"min_factor_ppm": 1_300_000},
    ],
)
def test_windows_and_caps_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BaselineRefused) as caught:
        baselines.compute(small(THREE, **changes))
    assert caught.value.code == "ledger/baseline-inputs"


def test_days_of_different_length_are_refused() -> None:
    uneven = tuple(HistoryDay(date=date, isp_mean_w=(1,) * (2 + at)) for at, date in enumerate(THREE))
    with pytest.raises(BaselineRefused, match="length"):
        baselines.compute(small(THREE, history=uneven))


def test_a_factor_over_a_window_without_import_is_refused() -> None:
    exporting = dict.fromkeys(THREE, -100)
    with pytest.raises(BaselineRefused, match="factor"):
        baselines.compute(small(exporting, adjustment_isps=(0,), adjustment_actual_w=(5,)))


def test_more_than_the_largest_number_of_days_is_refused() -> None:
    with pytest.raises(BaselineRefused):
        baselines.compute(small(THREE, x=1, y=MAX_DAYS + 1))


def test_meter_before_meter_after_is_a_straight_line() -> None:
    result = baselines.compute(MeterBeforeMeterAfter(before_w=85_831, after_w=88_500, isp_count=4))
    assert result.series_w == (86_165, 86_832, 87_499, 88_166)


@pytest.mark.parametrize(
    ("inputs", "series"),
    [
        (PreEvent(window_ms=10_000, samples_w=(10, 11), isp_count=2), (10, 10)),
        (Nomination(series_w=(92_000, -5)), (92_000, -5)),
        (Zero(isp_count=3), (0, 0, 0)),
        (Limit(cap_w=33_600, isp_count=2), (33_600, 33_600)),
    ],
)
def test_the_plain_methods(inputs: BaselineInputs, series: tuple[int, ...]) -> None:
    result = baselines.compute(inputs)
    assert result.series_w == result.unadjusted_w == series
    assert result.method == inputs.__struct_config__.tag


CORNERS = tuple(
    CurvePoint(x=x, power_w=power_w) for x, power_w in ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000))
)


def test_a_curve_is_linear_between_its_corners_and_flat_beyond_them() -> None:
    result = baselines.compute(
        Curve(points=CORNERS, base_w=100, x=(49_000, 49_500, 49_700, 49_701, 50_000, 50_500, 51_000))
    )
    assert result.series_w == (-10_900, -10_900, -5_400, -5_372, 100, 11_100, 11_100)


@pytest.mark.parametrize(
    "inputs",
    [
        Curve(points=CORNERS[:1], base_w=0, x=(1,)),
        Curve(points=CORNERS[::-1], base_w=0, x=(1,)),
        Curve(points=tuple(CurvePoint(x=x, power_w=0) for x in range(21)), base_w=0, x=(1,)),
        Curve(points=CORNERS, base_w=0, x=()),
        PreEvent(window_ms=1, samples_w=()),
        Zero(isp_count=0),
        Zero(isp_count=MAX_INTERVALS + 1),
        Nomination(series_w=()),
        Nomination(series_w=(1_000_000_001,)),
        MeterBeforeMeterAfter(before_w=1_000_000_001, after_w=0, isp_count=1),
    ],
)
def test_inputs_beyond_their_limits_are_refused(inputs: BaselineInputs) -> None:
    with pytest.raises(BaselineRefused):
        baselines.compute(inputs)


def test_the_longest_series_is_accepted() -> None:
    assert len(baselines.compute(Zero(isp_count=MAX_INTERVALS)).series_w) == MAX_INTERVALS


def test_inputs_travel_as_tagged_json_and_unknown_fields_are_refused(fsr_a_baseline: HighXOfY) -> None:
    data = msgspec.json.encode(fsr_a_baseline)
    assert b'"method":"HIGH_X_OF_Y/1"' in data
    assert msgspec.json.decode(data, type=BaselineInputs) == fsr_a_baseline
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"method":"ZERO/1","isp_count":1,"more":1}', type=BaselineInputs)


def test_a_commitment_names_the_inputs_and_a_changed_input_is_another_one(fsr_a_baseline: HighXOfY) -> None:
    committed = baselines.inputs_digest(fsr_a_baseline)
    assert len(committed) == 64
    assert baselines.inputs_digest(msgspec.structs.replace(fsr_a_baseline, x=4)) != committed
