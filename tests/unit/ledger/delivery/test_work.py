import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ledger.delivery import samples, settlement, work
from ledger.delivery.baselines import Zero
from ledger.delivery.curves import Corner
from ledger.delivery.errors import SamplesMalformed, WorkRefused
from ledger.delivery.evidence import MAX_BODIES
from ledger.delivery.samples import Measured, Sample, Status, WideSample
from ledger.delivery.verdicts import droop, ffr, limit, reserve, setpoint, v2h
from ledger.delivery.verdicts.outcome import Exclusion, Period, Reason, Verdict
from ledger.delivery.work import (
    CongestionWork,
    DroopWork,
    EmbeddedWork,
    FfrWork,
    LimitWork,
    Participation,
    PriceWork,
    ReserveWork,
    SetpointWork,
    V2hWork,
    Work,
    WorkInputs,
)

pytestmark = pytest.mark.slow  # takes seconds

if TYPE_CHECKING:
    from conftest import Day

GOLDEN = Path(__file__).with_name("golden.json")
START = 1_768_928_400_000
HOUR = 3_600_000


def body(powers: list[int], step_ms: int = 60_000, start: int = START, millihertz: int = 0) -> bytes:
    return samples.encode(Sample(start + at * step_ms, power, millihertz, 0, 0, at) for at, power in enumerate(powers))


def parts(*names: str, ordered_w: int = 0) -> tuple[Participation, ...]:
    return tuple(Participation(participation_id=name, ordered_w=ordered_w) for name in names)


def test_the_demo_days_order_recomputes_from_bodies_to_score(fsr_a: CongestionWork) -> None:
    result = work.recompute(fsr_a)
    assert [period.baseline_w for period in result.periods] == [88_113, 88_700, 87_801, 85_853]
    assert [period.actual_w for period in result.periods] == [51_313, 47_800, 44_301, 54_653]
    assert (result.score_ppm, result.verdict, result.algorithm) == (925_000, Verdict.PARTIAL, "CONGESTION_ISP/1")
    assert [part.participation_id for part in result.participations] == ["E1", "E2", "E3", "E4", "E5", "E7", "E8"]
    assert result.excluded == (Exclusion(participation_id="E6", reason=Reason.OPTED_OUT),)
    terms = settlement.Terms(price_micro_per_kwh=300_000, penalty_micro_per_kwh=450_000, currency="EUR")
    assert settlement.settle(result.periods, terms).net_micro == 9_750_000


@pytest.mark.parametrize("name", ["baseline_w", "ordered_w", "actual_w", "delivered_w", "deficiency_w", "excused_w"])
def test_the_participations_rows_add_up_to_the_groups(fsr_a: CongestionWork, name: str) -> None:
    result = work.recompute(fsr_a)

    def column(rows: tuple[Period, ...]) -> list[int]:
        return [getattr(row, name) for row in rows]

    shares = zip(*(column(part.periods) for part in result.participations), strict=True)
    assert [sum(share) for share in shares] == column(result.periods)


def test_the_golden_vector_is_reproduced_byte_for_byte(fsr_a: CongestionWork) -> None:
    golden = json.loads(GOLDEN.read_text())
    inputs = work.decode_inputs(msgspec.json.encode(golden["inputs"]))
    assert inputs == fsr_a
    assert work.encode(work.recompute(inputs)).decode() == golden["result"]


def test_a_result_holds_integers_and_strings_only(fsr_a: CongestionWork) -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for item in value.values() for leaf in leaves(item)]
        return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]

    found = leaves(json.loads(work.encode(work.recompute(fsr_a))))
    assert {type(leaf) for leaf in found} == {int, str}


def test_one_watt_in_one_sample_changes_the_bytes(fsr_a: CongestionWork) -> None:
    first = samples.decode(fsr_a.bodies["E1"][0])
    changed = samples.encode([first[0]._replace(power_w=first[0].power_w + 1), *first[1:]])
    other = msgspec.structs.replace(fsr_a, bodies=fsr_a.bodies | {"E1": (changed,)})
    assert work.encode(work.recompute(other)) != work.encode(work.recompute(fsr_a))


def test_a_day_split_into_batches_gives_the_same_figures(fsr_a: CongestionWork) -> None:
    whole = fsr_a.bodies["E1"][0]
    split = msgspec.structs.replace(fsr_a, bodies=fsr_a.bodies | {"E1": (whole[:240], whole[240:])})
    once, twice = work.recompute(fsr_a), work.recompute(split)
    assert once.periods == twice.periods
    assert len(twice.participations[0].batch_roots) == 2


def test_a_participation_without_samples_is_no_evidence_and_unprovable(fsr_a: CongestionWork) -> None:
    without = {name: found for name, found in fsr_a.bodies.items() if name != "E8"}
    result = work.recompute(msgspec.structs.replace(fsr_a, bodies=without))
    assert result.verdict is Verdict.UNPROVABLE
    assert Exclusion(participation_id="E8", reason=Reason.NO_EVIDENCE) in result.excluded
    named = Exclusion(participation_id="E8", reason=Reason.NO_EVIDENCE)
    listed = msgspec.structs.replace(fsr_a, bodies=without, exclusions=(*fsr_a.exclusions, named))
    assert work.encode(work.recompute(listed)) == work.encode(result)


def test_an_overridden_interval_is_excused(fsr_a: CongestionWork) -> None:
    last_isp = fsr_a.start_at_ms + 2_700_000
    override = Exclusion(
        participation_id="E8",
        reason=Reason.GRID_CODE_OVERRIDE,
        start_at_ms=last_isp,
        end_at_ms=last_isp + 450_000,
    )
    twice = msgspec.structs.replace(override, end_at_ms=last_isp + 300_000)
    result = work.recompute(msgspec.structs.replace(fsr_a, exclusions=(override, twice, *fsr_a.exclusions)))
    # E8's share of 5,714 W for half of the interval, counted once.
    assert (result.periods[3].excused_w, result.periods[3].deficiency_w) == (2_857, 8_800 - 2_857)


def test_a_request_of_which_nobody_is_left_is_not_judged(fsr_a: CongestionWork) -> None:
    out = tuple(
        Exclusion(participation_id=one.participation_id, reason=Reason.OPTED_OUT) for one in fsr_a.participations
    )
    result = work.recompute(msgspec.structs.replace(fsr_a, exclusions=out))
    assert (result.verdict, result.participations, result.algorithm) == (
        Verdict.INFORMATIVE,
        (),
        "CONGESTION_ISP/1",
    )


def ffr_work(bodies: dict[str, bytes], day: "Day", **changes: Any) -> FfrWork:
    given: dict[str, Any] = {
        "start_at_ms": day.start_at_ms,
        "end_at_ms": day.end_at_ms,
        "participations": parts(*bodies, ordered_w=15_000),
        "bodies": {name: (found,) for name, found in bodies.items()},
        "frequency_of": "E1",
        "terms": ffr.Terms(trigger_millihertz=49_600, t_full_ms=1_000, support_ms=30_000),
    }
    return FfrWork(**(given | changes))


def test_the_demo_days_frequency_event_is_delivered_by_the_group(day: "Day") -> None:
    result = work.recompute(ffr_work(day.bodies, day))
    assert result.figures == {
        "t0_at_ms": day.t0_at_ms,
        "capacity_w": 60_000,
        "at_full_w": 61_443,
        "min_support_w": 60_829,
        "mean_support_w": 61_221,
        "max_w": 61_545,
        "over_ppm": 25_750,
        "release_ppm_per_s": 176_884,
        "share_ppm": 1_000_000,
        "activated_after_ms": 1_000,
        "nadir_millihertz": 49_456,
        "passed": 1,
    }
    assert result.verdict is Verdict.DELIVERED
    weak = result.participations[3]
    assert (weak.figures["base_w"], weak.figures["at_full_w"], weak.figures["min_support_w"]) == (
        10_005,
        13_274,
        13_048,
    )


def test_a_slower_evse_fails_the_event_although_the_mean_is_above(slow_day: "Day") -> None:
    result = work.recompute(ffr_work(slow_day.bodies, slow_day))
    assert (result.verdict, result.score_ppm) == (Verdict.FAILED, 976_900)
    assert (result.figures["at_full_w"], result.figures["mean_support_w"]) == (58_614, 61_208)


def test_a_resource_overridden_during_the_event_takes_its_share_of_the_order_with_it(day: "Day") -> None:
    override = Exclusion(
        participation_id="E4",
        reason=Reason.GRID_CODE_OVERRIDE,
        start_at_ms=day.t0_at_ms + 5_000,
        end_at_ms=day.t0_at_ms + 6_000,
    )
    result = work.recompute(ffr_work(day.bodies, day, exclusions=(override,)))
    assert (result.figures["capacity_w"], result.figures["at_full_w"]) == (45_000, 61_443 - 13_274)
    everyone = tuple(msgspec.structs.replace(override, participation_id=name) for name in day.bodies)
    assert work.recompute(ffr_work(day.bodies, day, exclusions=everyone)).verdict is Verdict.INFORMATIVE
    earlier = msgspec.structs.replace(override, start_at_ms=1, end_at_ms=day.start_at_ms)
    assert work.recompute(ffr_work(day.bodies, day, exclusions=(earlier,))).figures["capacity_w"] == 60_000


def test_the_frequency_must_be_that_of_a_participation(day: "Day") -> None:
    with pytest.raises(WorkRefused):
        work.recompute(ffr_work(day.bodies, day, frequency_of="E9"))


def test_a_mandatory_limit_is_judged_after_the_time_to_comply() -> None:
    inputs = LimitWork(
        start_at_ms=START,
        end_at_ms=START + 900_000,
        participations=parts("E1", "E2"),
        bodies={"E1": (body([30_000] + [16_000] * 14),), "E2": (body([30_000] + [17_000] * 14),)},
        t_comply_ms=60_000,
        terms=limit.Terms(import_cap_w=33_600),
    )
    result = work.recompute(inputs)
    assert (result.figures["intervals"], result.figures["max_w"], result.verdict) == (14, 33_000, Verdict.DELIVERED)
    with pytest.raises(WorkRefused):
        work.recompute(msgspec.structs.replace(inputs, t_comply_ms=900_000))


def test_droop_and_setpoint_and_reserve_recompute() -> None:
    powers = [-5_500] * 600
    sampled = body(powers, 100, START - 2_000, 49_700)
    common: dict[str, Any] = {
        "start_at_ms": START,
        "end_at_ms": START + 50_000,
        "participations": parts("E7", ordered_w=5_500),
        "bodies": {"E7": (sampled,)},
    }
    corners = tuple(Corner(x=x, y=power) for x, power in ((49_500, -11_000), (49_900, 0)))
    followed = work.recompute(DroopWork(**common, terms=droop.Terms(points=corners, tolerance=0)))
    assert (followed.verdict, followed.figures["seconds"]) == (Verdict.DELIVERED, 50)
    points = (setpoint.Setpoint(start_at_ms=START, power_w=-5_500),)
    given = setpoint.Terms(reference_w=5_500, tolerance_w=100, ramp_ms=0)
    tracked = work.recompute(SetpointWork(**common, setpoints={"E7": points}, terms=given))
    assert (tracked.verdict, tracked.participations[0].figures["tracking_ppm"]) == (Verdict.DELIVERED, 1_000_000)
    with pytest.raises(WorkRefused):
        work.recompute(SetpointWork(**common, setpoints={}, terms=given))
    reserved = work.recompute(
        ReserveWork(
            **common,
            interval_ms=10_000,
            baseline=Zero(isp_count=5),
            ordered_w=(5_500,) * 5,
            terms=reserve.Terms(full_ms=10_000, energy_budget_milliwh=76_388),
        )
    )
    # 50 s at 5.5 kW are 76,388.9 mWh; the budget is compared with whole mWh.
    assert (reserved.verdict, reserved.figures["over_budget"]) == (Verdict.DELIVERED, 0)
    assert reserved.participations[0].export_milliwh == 76_389


def test_a_price_recomputes() -> None:
    inputs = PriceWork(
        start_at_ms=START,
        end_at_ms=START + HOUR,
        participations=parts("E1"),
        bodies={"E1": (body([-2_000] * 60),)},
        isp_ms=900_000,
        baseline=Zero(isp_count=4),
    )
    priced = work.recompute(inputs)
    assert (priced.verdict, priced.figures["reaction_w_sum"]) == (Verdict.INFORMATIVE, 8_000)


def house_body(evse_w: int, upstream_w: int, soc_permille: int, measured: Measured) -> bytes:
    return samples.encode(
        WideSample(START + at * 60_000, evse_w, 0, 0, 0, at, 0, 0, upstream_w, soc_permille, int(measured))
        for at in range(60)
    )


def test_a_house_is_judged_at_its_connection_and_its_cars_by_their_reserve() -> None:
    whole = Measured.UPSTREAM | Measured.SOC
    inputs = V2hWork(
        start_at_ms=START,
        end_at_ms=START + HOUR,
        participations=parts("E1", "E2"),
        bodies={
            "E1": (house_body(-2_000, 500, 600, whole),),
            # Nothing was measured at the connection here, and nobody looks: E1 is the house's meter.
            "E2": (house_body(-1_000, 0, 600, Measured.SOC),),
        },
        isp_ms=900_000,
        house="E1",
        terms=v2h.Terms(max_export_w=0, prices_micro_per_kwh=(400_000,) * 4, reserve_soc_permille=600),
    )
    kept = work.recompute(inputs)
    # 3 kW for an hour at 0.40.
    assert (kept.verdict, kept.figures["saved_micro"]) == (Verdict.DELIVERED, 1_200_000)
    assert [part.figures["exported_milliwh"] for part in kept.participations] == [2_000_000, 1_000_000]
    deeper = msgspec.structs.replace(inputs.terms, reserve_soc_permille=601)
    broken = work.recompute(msgspec.structs.replace(inputs, terms=deeper))
    assert (broken.verdict, broken.figures["below_reserve"]) == (Verdict.PARTIAL, 120)
    unmeasured = work.recompute(msgspec.structs.replace(inputs, house="E2"))
    assert (unmeasured.verdict, unmeasured.figures["unproven"]) == (Verdict.UNPROVABLE, 4)
    with pytest.raises(WorkRefused):
        work.recompute(msgspec.structs.replace(inputs, house="E9"))


def test_an_embedded_function_is_shown_by_its_flag_and_compared_with_the_time_before() -> None:
    before, after = [4_000] * 60, [1_000] * 60
    flag = int(Status.GRID_CODE_OVERRIDE)
    shown = samples.encode(
        Sample(START + (at - 60) * 1_000, power, 51_000, 0, flag if at >= 60 else 0, at)
        for at, power in enumerate(before + after)
    )
    inputs = EmbeddedWork(
        start_at_ms=START,
        end_at_ms=START + 60_000,
        participations=parts("E1"),
        bodies={"E1": (shown,)},
        before_ms=60_000,
        max_hold_ms=2_000,
    )
    logged = work.recompute(inputs)
    assert (logged.verdict, logged.algorithm, logged.baseline) == (Verdict.INFORMATIVE, "EMBEDDED_LOG/1", "")
    assert logged.figures == {"reaction_w": 3_000, "flagged_ppm": 1_000_000}
    assert [(row.baseline_w, row.actual_w, row.delivered_w) for row in logged.periods] == [(4_000, 1_000, 0)]
    plain = samples.encode(sample._replace(status=0) for sample in samples.decode(shown))
    silent = work.recompute(msgspec.structs.replace(inputs, bodies={"E1": (plain,)}))
    assert (silent.verdict, silent.figures["flagged_ppm"]) == (Verdict.UNPROVABLE, 0)
    earlier = work.recompute(msgspec.structs.replace(inputs, before_ms=120_000))
    assert earlier.verdict is Verdict.UNPROVABLE
    for before_ms in (0, START):
        with pytest.raises(WorkRefused):
            work.recompute(msgspec.structs.replace(inputs, before_ms=before_ms))


def limited(**changes: Any) -> LimitWork:
    given: dict[str, Any] = {
        "start_at_ms": START,
        "end_at_ms": START + 120_000,
        "participations": parts("E1"),
        "bodies": {"E1": (body([1, 1]),)},
        "t_comply_ms": 0,
        "terms": limit.Terms(import_cap_w=1),
    }
    return LimitWork(**(given | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"end_at_ms": START},
        {"start_at_ms": 0},
        {"max_hold_ms": 60_001},
        {"max_hold_ms": 0},
        {"participations": ()},
        {"participations": parts("E1", "E1")},
        {"participations": parts("E1", "")},
        {"participations": parts("E1", "x" * 129)},
        {"participations": parts("E1", *(f"P{at}" for at in range(1_000)))},
        {"participations": parts("E1", ordered_w=-1)},
        {"participations": parts("E2")},
        {"exclusions": (Exclusion(participation_id="E9", reason=Reason.DEPARTED),)},
        {"exclusions": (Exclusion(participation_id="E1", reason=Reason.DEPARTED, start_at_ms=2, end_at_ms=2),)},
        {"exclusions": (Exclusion(participation_id="E1", reason=Reason.DEPARTED),) * 10_001},
        {"bodies": {"E1": (body([1]),) * (MAX_BODIES + 1)}},
        {"interval_ms": 50_000},
        {"interval_ms": 0},
        {"interval_ms": 1, "end_at_ms": START + 2_977},
    ],
)
def test_inputs_beyond_their_limits_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WorkRefused) as caught:
        work.recompute(limited(**changes))
    assert caught.value.code == "ledger/work-inputs"


def test_the_most_bodies_and_participations_are_accepted() -> None:
    many = tuple(body([1], start=START + at) for at in range(MAX_BODIES))
    names = [f"P{at}" for at in range(999)]
    result = work.recompute(limited(bodies={"E1": many}, participations=parts("E1", *names)))
    assert len(result.participations[0].batch_roots) == MAX_BODIES


def test_bodies_that_overlap_are_refused() -> None:
    with pytest.raises(SamplesMalformed, match="overlap"):
        work.recompute(limited(bodies={"E1": (body([1, 2]), body([1, 2]))}))


def test_more_samples_than_one_participation_may_have_are_refused() -> None:
    long = body([0] * 60_000, 1)
    later = body([0] * 60_000, 1, START + 60_000)
    with pytest.raises(SamplesMalformed, match="too many"):
        work.recompute(limited(bodies={"E1": (long, later)}))


def test_a_baseline_of_another_length_is_refused() -> None:
    with pytest.raises(WorkRefused, match="baseline"):
        work.recompute(
            PriceWork(
                start_at_ms=START,
                end_at_ms=START + HOUR,
                participations=parts("E1"),
                bodies={},
                isp_ms=900_000,
                baseline=Zero(isp_count=3),
            )
        )


def test_a_service_class_without_a_verdict_is_refused() -> None:
    classless = Work(start_at_ms=1, end_at_ms=2, participations=parts("E1"), bodies={})
    with pytest.raises(WorkRefused, match="class"):
        work.recompute(classless)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"{}", b'{"service_class":"MAGIC"}'])
def test_what_is_no_piece_of_work_is_refused(data: bytes) -> None:
    with pytest.raises(WorkRefused):
        work.decode_inputs(data)


def test_inputs_survive_their_own_json(fsr_a: CongestionWork) -> None:
    inputs: WorkInputs = fsr_a
    assert work.decode_inputs(msgspec.json.encode(inputs)) == fsr_a
