"""The export to OpenADR 3.1: what fits is exact, what does not is listed, and another library reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from api.cli.main import app
from api.verification import openadr
from api.verification.openadr import Export, NothingToExport
from ledger.delivery.verdicts.outcome import Period
from ledger.records import canonical, jws
from ledger.records.requests import CancelReason, RequestCancelled, RequestIssued, SetpointBatch, SetpointStepMoved
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    CurvePoint,
    Direction,
    DroopParams,
    FfrParams,
    Params,
    PriceParams,
    PriceStep,
    ReserveParams,
    Service,
    SetpointParams,
    SetpointStep,
    V2hParams,
    VoltVarParams,
    VoltVarPoint,
    VoltWattParams,
    VoltWattPoint,
    WattVarParams,
    WattVarPoint,
    service_of,
)
from tests.support import rulebook
from tests.support.bundles import Story, changed
from tests.support.openadr_judge import Unfit, judge, judge_event, judge_report

START_MS = 1_768_914_000_000
"""2026-01-20T13:00Z."""
QUARTER_MS = 900_000
END_MS = START_MS + 2 * QUARTER_MS


def _request(params: Params, **changes: Any) -> RequestIssued:
    return rulebook.request("fsr-x", params=params, start_at_ms=START_MS, end_at_ms=END_MS, **changes)


def _exported(params: Params, *more: Any) -> Export:
    found = openadr.export([_request(params), *more])
    judge(found)
    return found


def _values(found: Export, kind: str) -> list[Any]:
    return [
        payload["values"]
        for interval in found.event["intervals"]
        for payload in interval["payloads"]
        if payload["type"] == kind
    ]


def _lost(found: Export) -> str:
    return "; ".join(one.what for one in found.lossy)


def test_a_congestion_order_is_a_relative_setpoint_and_a_reduction_has_a_private_name() -> None:
    steps = tuple(
        CongestionStep(start_at_ms=START_MS + n * QUARTER_MS, duration_ms=QUARTER_MS, ordered_w=40_000 + n)
        for n in range(2)
    )
    for direction, sign, kind in (
        (Direction.UP, -1, openadr.SIGNED_RELATIVE),
        (Direction.DOWN, 1, "DISPATCH_SETPOINT_RELATIVE"),
    ):
        params = CongestionParams(congestion_point="CP-1", direction=direction, series=steps)
        found = _exported(params)
        assert _values(found, kind) == [[sign * 40.0], [sign * 40.001]]
        assert ("OpenADR's name for the order" in _lost(found)) is (direction is Direction.UP)
        assert found.event["intervals"][1]["intervalPeriod"] == {"start": "2026-01-20T13:15:00Z", "duration": "PT900S"}
        assert "baseline of a relative order" in _lost(found)


def test_moved_setpoints_are_the_intervals_that_held_and_a_discharge_has_a_private_name() -> None:
    params = SetpointParams(
        series=(SetpointStep(start_at_ms=START_MS, duration_ms=2 * QUARTER_MS, power_w=11_000),),
        ramp_w_per_s=1_000,
        update_interval_s=4,
    )
    moved = SetpointBatch(
        fsr_id="fsr-x",
        batch=1,
        steps=(
            SetpointStepMoved(at_ms=START_MS + 4_000, power_w=-7_500),
            SetpointStepMoved(at_ms=START_MS + 8_500, power_w=0),
        ),
    )
    planned = _exported(params)
    assert _values(planned, "DISPATCH_SETPOINT") == [[11.0]]
    assert "OpenADR's name" not in _lost(planned)
    found = _exported(params, moved)
    assert _values(found, openadr.SIGNED_SETPOINT) == [[11.0], [-7.5], [0.0]]
    assert [one["intervalPeriod"]["duration"] for one in found.event["intervals"]] == [
        "PT4S",
        "PT4.500S",
        "PT1791.500S",
    ]
    assert "OpenADR's name for the order" in _lost(found)


OTHERS: dict[Service, tuple[Params, str, list[Any]]] = {
    service_of(params): (params, kind, values)
    for params, kind, values in (
        (
            ReserveParams(
                capacity_w=20_000,
                direction=Direction.UP,
                full_ms=300_000,
                interval_ms=QUARTER_MS,
                energy_budget_wh=5_000,
            ),
            openadr.SIGNED_RELATIVE,
            [[-20.0]],
        ),
        (
            PriceParams(
                tariff_ref="tariff-1",
                currency="EUR",
                series=(
                    PriceStep(start_at_ms=START_MS, duration_ms=QUARTER_MS, import_micro_per_kwh=123_456),
                    PriceStep(start_at_ms=START_MS + QUARTER_MS, duration_ms=QUARTER_MS, import_micro_per_kwh=-5_000),
                ),
            ),
            "PRICE",
            [[0.123456], [-0.005]],
        ),
        (
            V2hParams(
                tariff_ref="tariff-1",
                currency="EUR",
                series=(
                    PriceStep(
                        start_at_ms=START_MS,
                        duration_ms=2 * QUARTER_MS,
                        import_micro_per_kwh=300_000,
                        export_micro_per_kwh=80_000,
                    ),
                ),
                reserve_soc_permille=300,
                energy_budget_wh=10_000,
            ),
            "EXPORT_PRICE",
            [[0.08]],
        ),
        (
            FfrParams(
                f_trigger_millihertz=49_500,
                t_full_ms=700,
                support_ms=30_000,
                release_ppm_per_s=200_000,
                capacity_w=40_000,
                max_over_ppm=350_000,
                direction=Direction.UP,
            ),
            openadr.PRIVATE_FFR,
            [[-40.0]],
        ),
        (
            DroopParams(
                points=(
                    CurvePoint(freq_millihertz=49_500, power_w=-10_000),
                    CurvePoint(freq_millihertz=50_500, power_w=10_000),
                ),
                response_time_ms=2_000,
                base_w=0,
                tolerance_w=100,
            ),
            "CURVE",
            [[{"x": 49.5, "y": -10.0}, {"x": 50.5, "y": 10.0}]],
        ),
        (
            VoltWattParams(
                points=(
                    VoltWattPoint(volt_centipct=9_000, power_w=0),
                    VoltWattPoint(volt_centipct=10_950, power_w=11_000),
                ),
                reference_millivolt=230_000,
                response_time_ms=5_000,
                tolerance_w=100,
            ),
            "CURVE",
            [[{"x": 90.0, "y": 0.0}, {"x": 109.5, "y": 11.0}]],
        ),
        (
            VoltVarParams(
                points=(
                    VoltVarPoint(volt_centipct=9_200, power_var=-2_000),
                    VoltVarPoint(volt_centipct=10_800, power_var=2_000),
                ),
                reference_millivolt=230_000,
                response_time_ms=5_000,
                tolerance_var=100,
            ),
            "CURVE",
            [[{"x": 92.0, "y": -2.0}, {"x": 108.0, "y": 2.0}]],
        ),
        (
            WattVarParams(
                points=(WattVarPoint(power_w=0, power_var=0), WattVarPoint(power_w=11_000, power_var=-3_500)),
                response_time_ms=5_000,
                tolerance_var=100,
            ),
            "CURVE",
            [[{"x": 0.0, "y": 0.0}, {"x": 11.0, "y": -3.5}]],
        ),
    )
}


@pytest.mark.parametrize("service", OTHERS)
def test_every_other_class_has_its_payload_and_says_what_it_lost(service: Service) -> None:
    params, kind, values = OTHERS[service]
    found = _exported(params)
    assert _values(found, kind) == values
    assert len(found.lossy) > len(openadr.ALWAYS)


def test_every_class_of_service_is_exported() -> None:
    tested = {Service.CONGESTION, Service.SETPOINT, Service.LIMIT_MANDATORY, *OTHERS}
    assert tested == set(Service)


def test_a_cancelled_request_is_shown_as_it_stood_and_said_to_be_deleted() -> None:
    found = _exported(OTHERS[Service.PRICE][0], RequestCancelled(fsr_id="fsr-x", reason=CancelReason.NO_LONGER_NEEDED))
    assert "cancellation or abort" in _lost(found)


def test_without_a_request_there_is_nothing_to_export() -> None:
    with pytest.raises(NothingToExport):
        openadr.export([RequestCancelled(fsr_id="fsr-x", reason=CancelReason.NO_LONGER_NEEDED)])


def _run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    return result.exit_code, result.output


def test_a_bundle_is_exported_offline_with_the_proofs_periods(story: Story, tmp_path: Path) -> None:
    bundle, out = tmp_path / "bundle.json", tmp_path / "openadr.json"
    bundle.write_bytes(story.settled)
    code, text = _run("export", "openadr", bundle)
    assert code == 0
    found = msgspec.json.decode(text, type=Export)
    judge(found)
    (report,) = found.reports
    payloads = report["resources"][0]["intervals"][0]["payloads"]
    told = {one["type"]: one["values"][0] for one in payloads}
    assert told["BASELINE"] == 12.0
    # Two cars draw 2,000 and 2,100 W, where 12,000 W less 8,000 W were ordered.
    assert (told["DEMAND"], told[openadr.PRIVATE_EXPORT], told["SETPOINT"]) == (4.1, 0.0, 4.0)
    assert _run("export", "openadr", bundle, "--out", out)[0] == 0
    assert out.read_text() == text
    assert _run("export", "openadr", bundle, "--out", out)[0] == 2
    bundle.write_bytes(b"{")
    assert _run("export", "openadr", bundle)[0] == 2


def test_a_mandate_is_a_limit_with_an_alert_and_its_proof_is_lost(story: Story, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(story.mandatory)
    code, text = _run("export", "openadr", bundle)
    assert code == 0
    found = msgspec.json.decode(text, type=Export)
    judge(found)
    assert _values(found, "IMPORT_CAPACITY_LIMIT") == [[15.0]]
    ((alert,),) = _values(found, "ALERT_GRID_EMERGENCY")
    assert alert.split(" ")[0] in {"SAFETY", "GRID_STABILITY"}
    assert "obligation, mandate" in _lost(found)
    assert found.reports == ()


def test_nothing_personal_is_exported(story: Story, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(story.settled)
    _, text = _run("export", "openadr", bundle)
    assert "FI*NGC" not in text
    assert '"p-' not in text


def test_a_spread_of_starts_is_what_openadr_calls_it() -> None:
    spread = openadr.export([_request(OTHERS[Service.DROOP][0], start_spread_s=600)])
    judge(spread)
    assert spread.event["intervalPeriod"]["randomizeStart"] == "PT600S"
    assert "randomizeStart" not in _exported(OTHERS[Service.DROOP][0]).event["intervalPeriod"]


def test_what_was_fed_in_is_no_demand() -> None:
    fed = Period(
        start_at_ms=START_MS,
        duration_ms=QUARTER_MS,
        baseline_w=0,
        ordered_w=7_000,
        actual_w=-6_500,
        delivered_w=6_500,
        deficiency_w=500,
        excused_w=0,
        coverage_ppm=1_000_000,
    )
    assert openadr._figures(fed) == (0, 6_500, 0, -7_000)


def test_ids_with_full_stops_fit_openadrs_and_the_names_keep_them() -> None:
    dotted = openadr.export([msgspec.structs.replace(_request(OTHERS[Service.PRICE][0]), fsc_ids=("fsc.1",))])
    judge(dotted)
    assert (dotted.event["programID"], dotted.program["programName"]) == ("fsc_1", "fsc.1")
    assert "full stops in ids" in _lost(dotted)


Spoil = Callable[[dict[str, Any]], object]
SPOILT_EVENTS: dict[str, tuple[type[Exception], Spoil]] = {
    "a member that 3.1 does not have": (ValidationError, lambda one: one.update(optInDeadline="PT1H")),
    "no program": (ValidationError, lambda one: one.pop("programID")),
    "an id that is no id": (Unfit, lambda one: one.update(programID="fsc/1")),
    "targets of 3.0": (ValidationError, lambda one: one.update(targets=[{"type": "GROUP", "values": ["a"]}])),
    "a priority that is text": (ValidationError, lambda one: one.update(priority="0")),
    "a priority below the highest": (Unfit, lambda one: one.update(priority=-1)),
    "another object": (Unfit, lambda one: one.update(objectType="REPORT")),
    "an interval without payloads": (Unfit, lambda one: one["intervals"][0].update(payloads=[])),
    "an interval without a number": (ValidationError, lambda one: one["intervals"][0].pop("id")),
    "no intervals": (Unfit, lambda one: one.update(intervals=[])),
    "a duration that is none": (Unfit, lambda one: one["intervalPeriod"].update(duration="900")),
    "a start without a zone": (Unfit, lambda one: one["intervalPeriod"].update(start="2026-01-20T13:00:00")),
    "a unit of nobody": (Unfit, lambda one: one["payloadDescriptors"][0].update(units="STRING")),
    "a currency of four letters": (Unfit, lambda one: one["payloadDescriptors"][0].update(currency="EURO")),
    "a payload that is not described": (Unfit, lambda one: one.update(payloadDescriptors=[])),
    "a setpoint below 0": (Unfit, lambda one: one["intervals"][0]["payloads"][0].update(values=[-1.0])),
    "two values of one setpoint": (Unfit, lambda one: one["intervals"][0]["payloads"][0].update(values=[1.0, 2.0])),
    "a setpoint that is text": (Unfit, lambda one: one["intervals"][0]["payloads"][0].update(values=["11"])),
}


@pytest.mark.parametrize("spoilt", SPOILT_EVENTS)
def test_the_judge_refuses_what_openadr_does_not_allow(spoilt: str) -> None:
    step = SetpointStep(start_at_ms=START_MS, duration_ms=2 * QUARTER_MS, power_w=11_000)
    document = _exported(SetpointParams(series=(step,), ramp_w_per_s=1_000, update_interval_s=4)).event
    judge_event(document)
    error, spoil = SPOILT_EVENTS[spoilt]
    spoil(document)
    with pytest.raises(error):
        judge_event(document)


SPOILT_REPORTS: dict[str, tuple[type[Exception], Spoil]] = {
    "the program of 3.0": (ValidationError, lambda one: one.update(programID="fsc-1")),
    "no client": (ValidationError, lambda one: one.pop("clientName")),
    "no resources": (Unfit, lambda one: one.update(resources=[])),
    "a reading of nobody": (Unfit, lambda one: one["payloadDescriptors"][0].update(readingType="GUESSED")),
    "demand below 0": (
        Unfit,
        lambda one: one["resources"][0]["intervals"][0]["payloads"][0].update(values=[-0.1]),
    ),
    "a payload of an event": (
        Unfit,
        lambda one: one["resources"][0]["intervals"][0]["payloads"][0].update(type="PRICE"),
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT_REPORTS)
def test_the_judge_refuses_a_report_that_openadr_does_not_allow(spoilt: str, story: Story, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(story.settled)
    (document,) = msgspec.json.decode(_run("export", "openadr", bundle)[1], type=Export).reports
    judge_report(document)
    error, spoil = SPOILT_REPORTS[spoilt]
    spoil(document)
    with pytest.raises(error):
        judge_report(document)


def test_a_time_that_rfc_3339_cannot_say_is_refused(story: Story, tmp_path: Path) -> None:
    def edit(value: Any) -> None:
        for one in value["entries"]:
            if one["entry"]["type"] == RequestIssued.TYPE:
                parts = one["entry"]["stmt"].split(".")
                claims = msgspec.json.decode(jws.decode_base64url(parts[1]))
                claims["event"].update(start_at_ms=2**48 - 900_000, end_at_ms=2**48)
                parts[1] = jws.encode_base64url(canonical.encode(claims))
                one["entry"]["stmt"] = ".".join(parts)

    file = tmp_path / "bundle.json"
    file.write_bytes(changed(story.mandatory, edit))
    result = CliRunner().invoke(app, ["export", "openadr", str(file)])
    assert result.exit_code == 2
    assert "unusable: api/input-unfit: " in result.output
