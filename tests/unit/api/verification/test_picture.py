"""What a proof of work looks like: series by hand, the same bytes each time, gaps and exclusions shown as such."""

import re
from xml.etree import ElementTree as ET

import pytest

from api.verification import picture, plot
from api.verification.picture import Panel, Point, Series, Shade
from ledger.delivery import samples, work
from ledger.delivery.curves import Corner
from ledger.delivery.samples import Measured, Sample, Status, WideSample
from ledger.delivery.verdicts import droop, ffr, limit, setpoint, v2h
from ledger.delivery.verdicts.outcome import Exclusion, Reason
from ledger.delivery.work import Participation, WorkInputs

START = 1_768_921_200_000
MINUTE = 60_000


def body(powers: list[int], *, step_ms: int = MINUTE, freq: int = 0, skip: tuple[int, ...] = ()) -> tuple[bytes, ...]:
    found = [
        Sample(START + place * step_ms, power, freq, 0, 0, place)
        for place, power in enumerate(powers)
        if place not in skip
    ]
    return (samples.encode(found),)


def cap(bodies: dict[str, tuple[bytes, ...]], *, minutes: int, exclusions: tuple[Exclusion, ...] = ()) -> WorkInputs:
    return work.LimitWork(
        start_at_ms=START,
        end_at_ms=START + minutes * MINUTE,
        participations=tuple(Participation(participation_id=name, ordered_w=1) for name in sorted(bodies)),
        bodies=bodies,
        exclusions=exclusions,
        t_comply_ms=MINUTE,
        interval_ms=MINUTE,
        terms=limit.Terms(import_cap_w=9_000),
    )


def drawn(inputs: WorkInputs) -> Panel:
    return picture.panels(inputs, work.recompute(inputs))[0]


def line(panel: Panel, kind: str) -> dict[int, int]:
    """Minute from the start -> W."""
    (found,) = [one for one in panel.series if one.kind == kind]
    return {(point.from_ms - START) // MINUTE: point.value for point in found.points}


def test_delivered_is_the_sum_of_everyone_and_the_cap_stands_from_when_it_is_due() -> None:
    panel = drawn(cap({"a": body([5_000, 4_000, 3_000]), "b": body([6_000, 4_500, 3_500])}, minutes=3))
    assert line(panel, "delivered") == {0: 11_000, 1: 8_500, 2: 6_500}
    assert line(panel, "requested") == {1: 9_000}
    assert panel.shades == ()


def test_where_one_of_them_left_no_evidence_there_is_a_gap_and_no_guess() -> None:
    bodies = {"a": body([5_000] * 6), "b": body([6_000] * 6, skip=(2, 3))}
    panel = drawn(cap(bodies, minutes=6))
    assert sorted(line(panel, "delivered")) == [0, 1, 4, 5]
    assert panel.shades == (
        Shade(kind="missing", label="no evidence", from_ms=START + 2 * MINUTE, to_ms=START + 4 * MINUTE),
    )


def test_an_excluded_span_is_shaded_with_its_reason() -> None:
    one = Exclusion(
        participation_id="a",
        reason=Reason.GRID_CODE_OVERRIDE,
        start_at_ms=START + MINUTE,
        end_at_ms=START + 2 * MINUTE,
    )
    panel = drawn(cap({"a": body([5_000] * 3)}, minutes=3, exclusions=(one,)))
    assert panel.shades == (
        Shade(
            kind="excluded",
            label="excluded: GRID_CODE_OVERRIDE",
            from_ms=START + MINUTE,
            to_ms=START + 2 * MINUTE,
        ),
    )


def test_who_is_excluded_as_a_whole_is_not_in_the_sum() -> None:
    out = Exclusion(participation_id="b", reason=Reason.OPTED_OUT)
    inputs = cap({"a": body([5_000] * 3), "b": body([6_000] * 3)}, minutes=3, exclusions=(out,))
    assert set(line(drawn(inputs), "delivered").values()) == {5_000}


def test_where_nobody_counts_nothing_is_drawn() -> None:
    inputs = cap({"a": body([5_000])}, minutes=3, exclusions=(Exclusion(participation_id="a", reason=Reason.ABORTED),))
    assert picture.panels(inputs, work.recompute(inputs)) == ()


def test_a_droop_is_drawn_beside_its_curve_at_the_measured_frequency() -> None:
    inputs = work.DroopWork(
        start_at_ms=START,
        end_at_ms=START + 10_000,
        participations=(Participation(participation_id="a"), Participation(participation_id="b")),
        bodies={name: body([-500] * 10, step_ms=1_000, freq=49_900) for name in ("a", "b")},
        max_hold_ms=2_000,
        terms=droop.Terms(points=(Corner(x=49_800, y=-1_000), Corner(x=50_000, y=0)), base=100, tolerance=50),
    )
    power, frequency = picture.panels(inputs, work.recompute(inputs))
    by_kind = {one.kind: {point.value for point in one.points} for one in power.series}
    assert by_kind == {"baseline": {200}, "requested": {2 * (100 - 500)}, "delivered": {-1_000}}
    assert {point.value for point in frequency.series[0].points} == {49_900}


def test_a_fast_response_is_drawn_around_its_event() -> None:
    powers = [10_000] * 200 + [0] * 600
    records = [
        Sample(START + place * 100, power, 49_500 if place >= 195 else 50_000, 0, 0, place)
        for place, power in enumerate(powers)
    ]
    inputs = work.FfrWork(
        start_at_ms=START,
        end_at_ms=START + 80_000,
        participations=(Participation(participation_id="a", ordered_w=8_000),),
        bodies={"a": (samples.encode(records),)},
        frequency_of="a",
        terms=ffr.Terms(trigger_millihertz=49_600, t_full_ms=1_000, support_ms=30_000),
    )
    result = work.recompute(inputs)
    t0 = START + 19_500
    assert result.figures["t0_at_ms"] == t0
    power, _ = picture.panels(inputs, result)
    (asked,) = [one for one in power.series if one.kind == "requested"]
    assert [(point.from_ms, point.to_ms, point.value) for point in asked.points] == [(t0 + 1_000, t0 + 31_000, 2_000)]
    assert power.marks == ((t0, "trigger"), (t0 + 1_000, "full"), (t0 + 31_000, "end of support"))
    assert power.from_ms == t0 - 10_000


def test_setpoints_are_drawn_as_they_were_ordered_however_many_there_are() -> None:
    steps = tuple(setpoint.Setpoint(start_at_ms=START + at * 100, power_w=at) for at in range(5_000))
    inputs = work.SetpointWork(
        start_at_ms=START,
        end_at_ms=START + 500_000,
        participations=(Participation(participation_id="a"),),
        bodies={"a": body([7] * 500, step_ms=1_000)},
        setpoints={"a": steps},
        terms=setpoint.Terms(reference_w=1_000, tolerance_w=10, ramp_ms=0),
    )
    panel = drawn(inputs)
    (asked,) = [one for one in panel.series if one.kind == "requested"]
    assert 100 <= len(asked.points) <= picture.MAX_BUCKETS
    assert asked.points[0].value == 0


def test_an_unusable_sample_draws_nothing() -> None:
    bad = Sample(START + MINUTE, 900_000, 0, 0, int(Status.BAD), 1)
    good = [Sample(START + place * MINUTE, 5_000, 0, 0, 0, place) for place in (0, 2)]
    inputs = cap({"a": (samples.encode([good[0], bad, good[1]]),)}, minutes=3)
    delivered = next(one for one in drawn(inputs).series if one.kind == "delivered")
    assert max(point.high for point in delivered.points) == 5_000


def wide(millivolt: int, power_w: int, var: int, upstream_w: int = 0, *, seconds: int = 20) -> tuple[bytes, ...]:
    measured = int(Measured.VOLTAGE | Measured.REACTIVE | Measured.UPSTREAM | Measured.SOC)
    records = [
        WideSample(START + at * 1_000, power_w, 50_000, 0, 0, at, millivolt, var, upstream_w, 500, measured)
        for at in range(seconds)
    ]
    return (samples.encode(records),)


def values(panel: Panel) -> dict[str, set[int]]:
    return {one.kind: {point.value for point in one.points} for one in panel.series}


VOLT_VAR = tuple(Corner(x=x, y=y) for x, y in ((9_300, -4_800), (9_700, 0), (10_300, 0), (10_700, 4_800)))
WATT_VAR = tuple(Corner(x=x, y=y) for x, y in ((-11_000, 4_800), (-5_500, 0), (0, 0)))
VOLT_WATT = tuple(Corner(x=x, y=y) for x, y in ((9_000, 0), (9_500, 11_000)))


@pytest.mark.parametrize(
    ("kind", "corners", "units", "asked"),
    [
        (work.VoltVarWork, VOLT_VAR, ["W", "var", "mV"], 2 * 4_800),  # at 107 % of the reference
        (work.WattVarWork, WATT_VAR, ["W", "var"], 2 * 2_400),  # at half of what is fed in
        (work.VoltWattWork, VOLT_WATT, ["W", "mV"], 2 * 11_000),
    ],
)
def test_an_inverters_curve_is_drawn_beside_what_it_follows(
    kind: type[work.VoltVarWork], corners: tuple[Corner, ...], units: list[str], asked: int
) -> None:
    inputs = kind(
        start_at_ms=START,
        end_at_ms=START + 20_000,
        participations=(Participation(participation_id="a"), Participation(participation_id="b")),
        bodies={name: wide(246_100, -8_250, 4_000) for name in ("a", "b")},
        max_hold_ms=2_000,
        terms=droop.Terms(points=corners, tolerance=0, response_ms=1_000, reference_millivolt=230_000),
    )
    shown = picture.panels(inputs, work.recompute(inputs))
    assert [panel.unit for panel in shown] == units
    of_curve = shown[1] if "var" in units else shown[0]
    assert values(of_curve)["requested"] == {asked}
    assert values(of_curve)["delivered"] == ({8_000} if "var" in units else {-16_500})
    if "mV" in units:
        assert values(shown[-1]) == {"frequency": {246_100}}
    for place, panel in enumerate(shown):
        ET.fromstring(plot.svg(panel, name=f"p{place}"))  # noqa: S314 -- our own text


def test_a_house_is_drawn_with_and_without_its_cars() -> None:
    inputs = work.V2hWork(
        start_at_ms=START,
        end_at_ms=START + 900_000,
        participations=(Participation(participation_id="a"),),
        bodies={"a": wide(230_000, -3_000, 0, 500, seconds=900)},
        isp_ms=900_000,
        house="a",
        terms=v2h.Terms(max_export_w=0, prices_micro_per_kwh=(400_000,)),
    )
    cars, house = picture.panels(inputs, work.recompute(inputs))
    assert values(cars) == {"delivered": {-3_000}}
    assert values(house) == {"baseline": {3_500}, "delivered": {500}}


# The writer


def a_panel(**changes: object) -> Panel:
    given: dict[str, object] = {
        "title": "Power",
        "unit": "W",
        "from_ms": START,
        "to_ms": START + 3_600_000,
        "series": (
            Series(
                kind="delivered",
                label="Delivered",
                points=(
                    Point(START, START + MINUTE, -4_000, -4_500, -3_900),
                    Point(START + 2 * MINUTE, START + 3 * MINUTE, 9_000, 9_000, 9_000),
                ),
            ),
        ),
    }
    return Panel(**(given | changes))  # type: ignore[arg-type]


def test_the_same_panel_is_the_same_bytes_and_well_formed() -> None:
    text = plot.svg(a_panel(), name="p")
    assert text == plot.svg(a_panel(), name="p")
    root = ET.fromstring(text)  # noqa: S314 -- our own text
    assert root.attrib["viewBox"] == "0 0 960 360"


def test_a_gap_breaks_the_line() -> None:
    assert plot.svg(a_panel(), name="p").count("<polyline") == 2


def test_power_has_a_zero_line_kilowatts_and_a_clock() -> None:
    text = plot.svg(a_panel(), name="p")
    labels = re.findall(r'class="tick">([^<]+)<', text)
    assert {"0", "8", "\N{MINUS SIGN}4"} <= set(labels)
    assert "15:00" in labels
    assert "power, kW" in text
    assert "2026-01-20 (UTC)" in text


def test_texts_are_escaped() -> None:
    shade = Shade(kind="excluded", label='"><script>alert(1)</script>', from_ms=START, to_ms=START + 1)
    text = plot.svg(a_panel(title="</svg><b>", shades=(shade,)), name="p")
    assert "<script" not in text
    assert "<b>" not in text
    ET.fromstring(text)  # noqa: S314 -- our own text


@pytest.mark.parametrize("span_ms", [1, 999, 60_000, 86_400_000 * 400])
@pytest.mark.parametrize("values", [(0, 0), (-1, 1), (10**9, 10**9), (-(10**12), 10**12)])
def test_any_window_and_any_values_can_be_drawn_in_bounds(span_ms: int, values: tuple[int, int]) -> None:
    points = (Point(START, START + span_ms, values[0], values[0], values[1]),)
    series = (Series(kind="delivered", label="x", points=points),)
    text = plot.svg(a_panel(to_ms=START + span_ms, series=series), name="p")
    assert len(text) < 20_000
    for x in re.findall(r'points="([\d., -]+)"', text):
        for pair in x.split():
            at, up = (float(one) for one in pair.split(","))
            assert 0 <= at <= plot.WIDTH
            assert 0 <= up <= 360
