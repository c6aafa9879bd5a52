"""Can this EVSE with this car do what is asked: each side of each bound, and what is not known."""

import msgspec
import pytest

from api.verification import asked, capability
from ledger.records.requests import Evidence, Obligation, RequestIssued
from ledger.records.services import (
    CurvePoint,
    Direction,
    DroopParams,
    FfrParams,
    Params,
    ReserveParams,
    SetpointParams,
    SetpointStep,
    VoltVarParams,
    VoltVarPoint,
    VoltWattParams,
    VoltWattPoint,
    WattVarParams,
    WattVarPoint,
)
from ledger.records.sites import CurrentKind, EvLimits, Evse, Meter, SessionMirrored
from pki.asn1.claims import DerFunction
from pki.roles import Service as PkiService

START = 1_768_903_200_000
HOUR = 3_600_000
ALL = ("SETPOINT", "DROOP", "VOLT_WATT", "VOLT_VAR", "WATT_VAR", "FFR", "RESERVE", "V2H")
EVSE = Evse(
    evse_id="FI*NGC*E1",
    station_id="CS-1",
    connector=1,
    kind=CurrentKind.DC,
    max_charge_w=11_000,
    max_discharge_w=11_000,
    services=ALL,
    response_time_ms=0,
    meter=Meter(
        serial="M", key_spki_sha256="1" * 64, accuracy_ppm=10_000, resolution_milliwh=1, sample_period_ms=1_000
    ),
    key_spki_sha256="2" * 64,
    firmware_sha256="3" * 64,
    max_inject_var=4_800,
    max_absorb_var=2_400,
    control_modes=("VoltWatt", "VoltVar", "WattVar"),
)


def volt_var(absorb: int = 2_400, inject: int = 4_800) -> VoltVarParams:
    return VoltVarParams(
        points=(
            VoltVarPoint(volt_centipct=9_300, power_var=-inject),
            VoltVarPoint(volt_centipct=10_700, power_var=absorb),
        ),
        reference_millivolt=230_000,
        response_time_ms=5_000,
        tolerance_var=100,
    )


RESERVE = ReserveParams(
    capacity_w=10_000, direction=Direction.UP, full_ms=0, interval_ms=900_000, energy_budget_wh=50_000
)


def judged(params: Params, ev: EvLimits | None = None, amount_w: int = 0, **evse: object) -> tuple[str, str]:
    request = RequestIssued(
        fsr_id="fsr-1",
        site_id="DEPOT-7",
        fsc_ids=("fsc-1",),
        obligation=Obligation.VOLUNTARY,
        params=params,
        respond_by_ms=START,
        opt_deadline_ms=START,
        start_at_ms=START,
        end_at_ms=START + HOUR,
        evidence=Evidence(resolution_ms=1_000),
    )
    session = SessionMirrored(session_id="s-1", site_id="DEPOT-7", ev=ev if ev is not None else msgspec.UNSET)
    status, code = capability.judge(request, msgspec.structs.replace(EVSE, **evse), session, amount_w)
    return status.value, code


@pytest.mark.parametrize(
    ("params", "changes", "code"),
    [
        (volt_var(), {}, "check/ok"),
        (volt_var(absorb=2_401), {}, "check/reactive-not-reached"),
        (volt_var(inject=4_801), {}, "check/reactive-not-reached"),
        (volt_var(), {"control_modes": ("VoltWatt", "WattVar")}, "check/control-mode-not-supported"),
        (volt_var(), {"services": ("DROOP",)}, "check/service-not-supported"),
        (volt_var(), {"response_time_ms": 5_000}, "check/ok"),
        (volt_var(), {"response_time_ms": 5_001}, "check/too-slow"),
    ],
)
def test_in_dc_the_inverter_is_the_evses(params: Params, changes: dict[str, object], code: str) -> None:
    status = "PASS" if code == "check/ok" else "FAIL"
    assert judged(params, **changes) == (status, code)
    # What a car says of its own inverter does not count here.
    assert judged(params, EvLimits(max_absorb_var=0, max_inject_var=0), **changes) == (status, code)


@pytest.mark.parametrize(
    ("ev", "status", "code"),
    [
        (EvLimits(max_absorb_var=2_400, max_inject_var=4_800), "PASS", "check/ok"),
        (EvLimits(max_absorb_var=2_399, max_inject_var=4_800), "FAIL", "check/reactive-not-reached"),
        (EvLimits(max_absorb_var=2_400, max_inject_var=4_799), "FAIL", "check/reactive-not-reached"),
        (EvLimits(max_absorb_var=2_400), "INDETERMINATE", "check/car-reactive-unknown"),
        (None, "INDETERMINATE", "check/car-reactive-unknown"),
    ],
)
def test_in_ac_the_inverter_is_the_cars_and_what_it_did_not_say_is_not_known(
    ev: EvLimits | None, status: str, code: str
) -> None:
    assert judged(volt_var(), ev, kind=CurrentKind.AC, max_inject_var=0, max_absorb_var=0) == (status, code)


@pytest.mark.parametrize(
    ("params", "amount_w", "needed_wh"),
    [
        # 10 kW for an hour; half of it, as a share; bounded by the budget; nothing for the other direction.
        (RESERVE, 10_000, 10_000),
        (RESERVE, 5_000, 5_000),
        (msgspec.structs.replace(RESERVE, full_ms=1_800_000), 10_000, 5_000),
        (msgspec.structs.replace(RESERVE, energy_budget_wh=7_000), 10_000, 7_000),
        (msgspec.structs.replace(RESERVE, direction=Direction.DOWN), 10_000, 0),
        # -8 kW for a quarter of an hour of a schedule whose largest step is 16 kW; this EVSE has half of that.
        (
            SetpointParams(
                series=(
                    SetpointStep(start_at_ms=START, duration_ms=900_000, power_w=-8_000),
                    SetpointStep(start_at_ms=START + 900_000, duration_ms=2_700_000, power_w=16_000),
                ),
                ramp_w_per_s=1_000,
                update_interval_s=4,
            ),
            8_000,
            1_000,
        ),
        # 10 kW for 31 s are 86.1 Wh.
        (
            FfrParams(
                f_trigger_millihertz=49_600,
                t_full_ms=1_000,
                support_ms=30_000,
                release_ppm_per_s=200_000,
                capacity_w=10_000,
                max_over_ppm=350_000,
                direction=Direction.UP,
            ),
            10_000,
            87,
        ),
    ],
)
def test_a_car_has_the_energy_that_a_service_is_sure_to_take(params: Params, amount_w: int, needed_wh: int) -> None:
    battery = EvLimits(usable_energy_wh=2 * max(1, needed_wh), soc_permille=500)
    assert judged(params, battery, amount_w) == ("PASS", "check/ok")
    assert judged(params, EvLimits(discharge_budget_wh=needed_wh), amount_w) == ("PASS", "check/ok")
    # A car that says one half of it only, or nothing, is checked by its power alone.
    assert judged(params, EvLimits(soc_permille=1), amount_w) == ("PASS", "check/ok")
    assert judged(params, None, amount_w) == ("PASS", "check/ok")
    if needed_wh:
        emptier = EvLimits(usable_energy_wh=2 * needed_wh, soc_permille=499)
        assert judged(params, emptier, amount_w) == ("FAIL", "check/energy-not-there")
        assert judged(params, EvLimits(discharge_budget_wh=needed_wh - 1), amount_w) == (
            "FAIL",
            "check/energy-not-there",
        )


def test_a_car_that_can_less_than_its_evse_is_what_counts() -> None:
    assert judged(RESERVE, EvLimits(max_discharge_w=10_000), 10_000) == ("PASS", "check/ok")
    assert judged(RESERVE, EvLimits(max_discharge_w=9_999), 10_000) == ("FAIL", "check/car-power-not-reached")
    down = msgspec.structs.replace(RESERVE, direction=Direction.DOWN)
    assert judged(down, EvLimits(max_charge_w=10_000), 10_000) == ("PASS", "check/ok")
    assert judged(down, EvLimits(max_charge_w=9_999), 10_000) == ("FAIL", "check/car-power-not-reached")


VOLT_WATT = VoltWattParams(
    points=(VoltWattPoint(volt_centipct=9_000, power_w=0), VoltWattPoint(volt_centipct=9_500, power_w=11_000)),
    reference_millivolt=230_000,
    response_time_ms=5_000,
    tolerance_w=100,
)


@pytest.mark.parametrize(
    ("params", "function", "consent", "claim"),
    [
        (volt_var(), DerFunction.VOLT_VAR, False, True),
        (
            WattVarParams(
                points=(WattVarPoint(power_w=0, power_var=0), WattVarPoint(power_w=1, power_var=1)),
                response_time_ms=5_000,
                tolerance_var=100,
            ),
            DerFunction.WATT_VAR,
            False,
            True,
        ),
        (VOLT_WATT, DerFunction.VOLT_WATT, False, False),
        (
            msgspec.structs.replace(
                VOLT_WATT, points=(VoltWattPoint(volt_centipct=9_000, power_w=-1), VOLT_WATT.points[1])
            ),
            DerFunction.VOLT_WATT,
            True,
            True,
        ),
        (
            DroopParams(
                points=(CurvePoint(freq_millihertz=49_800, power_w=-1), CurvePoint(freq_millihertz=50_000, power_w=0)),
                response_time_ms=1_000,
                base_w=0,
                tolerance_w=1,
            ),
            DerFunction.FREQUENCY_WATT,
            True,
            True,
        ),
    ],
)
def test_curves_are_droops_to_a_credential_told_apart_by_the_function_that_was_tested(
    params: Params, function: DerFunction, consent: bool, claim: bool
) -> None:
    assert asked.credential_service(params) is PkiService.DROOP
    assert asked.der_functions(params) == {function}
    # Reactive power takes no energy out of a car, so nobody has to allow it; but somebody must have tested it.
    assert (asked.discharges(params), asked.needs_claim(params)) == (consent, claim)
