"""Voltage support: twelve DC chargers at the end of a long feeder follow P(U), Q(U) and Q(P), four of them each."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import SITE_CONTRACT, Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from ledger.records.contracts import BaselineMethod
from ledger.records.services import (
    Params,
    Service,
    VoltVarParams,
    VoltVarPoint,
    VoltWattParams,
    VoltWattPoint,
    WattVarParams,
    WattVarPoint,
)
from ledger.records.sites import ClaimKind, CurrentKind

START_MS: Final = cast.at(13)
END_MS: Final = cast.at(13, 10)
CAN_W: Final = 11_000
CAN_VAR: Final = 5_000
NOMINAL_MILLIVOLT: Final = 230_000
MEASURED_MILLIVOLT: Final = 220_800
"""96 % of the nominal voltage."""
CURVES: Final = (Service.VOLT_WATT, Service.VOLT_VAR, Service.WATT_VAR)
BAYS: Final = tuple(
    dataclasses.replace(
        bay,
        control_modes=("VoltWatt", "VoltVar", "WattVar"),
        config=dataclasses.replace(bay.config, max_inject_var=CAN_VAR, max_absorb_var=CAN_VAR),
    )
    for bay in bays(
        12, kind=CurrentKind.DC, services=(*CURVES, Service.LIMIT_MANDATORY), max_charge_w=CAN_W, max_discharge_w=CAN_W
    )
)
GROUPS: Final[Mapping[Service, tuple[cast.Bay, ...]]] = dict(zip(CURVES, (BAYS[:4], BAYS[4:8], BAYS[8:]), strict=True))
UNTESTED: Final = BAYS[11]
"""Nobody tested its inverter for Q(P)."""
PLACE: Final = cast.Place(
    site_id="FARM-ROAD-END",
    congestion_point="FI-KUO-0911",
    import_limit_w=140_000,
    export_limit_w=132_000,
    bays=BAYS,
    noise_w=0,
    voltage=lambda _at_ms: MEASURED_MILLIVOLT,
)
PARAMS: Final[Mapping[Service, Params]] = {
    Service.VOLT_WATT: VoltWattParams(
        points=tuple(VoltWattPoint(volt_centipct=u, power_w=p) for u, p in ((9_000, -CAN_W), (10_000, CAN_W))),
        reference_millivolt=NOMINAL_MILLIVOLT,
        response_time_ms=5_000,
        tolerance_w=1_000,
    ),
    Service.VOLT_VAR: VoltVarParams(
        points=tuple(
            VoltVarPoint(volt_centipct=u, power_var=q)
            for u, q in ((9_300, -4_800), (9_700, 0), (10_300, 0), (10_700, 4_800))
        ),
        reference_millivolt=NOMINAL_MILLIVOLT,
        response_time_ms=5_000,
        tolerance_var=480,
    ),
    Service.WATT_VAR: WattVarParams(
        points=tuple(WattVarPoint(power_w=p, power_var=q) for p, q in ((0, 0), (CAN_W, -4_400))),
        response_time_ms=5_000,
        tolerance_var=880,
    ),
}


def asked(service: Service) -> Asked:
    """The request for one curve."""
    is_power = service is Service.VOLT_WATT
    return Asked(
        fsr_id=f"fsr-{service.value.lower().replace('_', '-')}",
        params=PARAMS[service],
        start_at_ms=START_MS,
        end_at_ms=END_MS,
        resolution_ms=1_000,
        method=BaselineMethod.CURVE,
        is_downward=is_power,
        offered_var=0 if is_power else CAN_VAR,
        step_ms=60_000,
    )


async def acts(scene: Scene) -> None:
    """Three curves side by side, each on its own chargers."""
    play = scene.play
    made = play.stage.made
    await story.register(
        play,
        [
            (bay, ClaimKind.EVSE, (props.evse_thing(made, bay),), service)
            for service, group in GROUPS.items()
            for bay in group
            if bay is not UNTESTED
        ],
    )
    await scene.site_contract(
        *(
            terms(service, 4 * CAN_W, BaselineMethod.CURVE, max_var=0 if service is CURVES[0] else 4 * CAN_VAR)
            for service in CURVES
        )
    )
    await play.goto(cast.at(12, 30))
    parts: dict[Service, dict[str, str]] = {}
    for service, group in GROUPS.items():
        await scene.issue(asked(service))
        parts[service] = await story.check(play, asked(service).fsr_id, group)
    await _refusals(scene, parts)
    for service, group in GROUPS.items():
        names = [bay.name for bay in group if bay is not UNTESTED]
        offered_w = CAN_W if service is Service.VOLT_WATT else 0
        await scene.answer(asked(service), parts[service], dict.fromkeys(names, offered_w))
        await scene.commit(asked(service), [parts[service][name] for name in names])
    for service, group in GROUPS.items():
        await scene.start(asked(service), started=len(group) - (UNTESTED in group))
    for service, judged, within in zip(CURVES, (2_400, 2_400, 1_800), (2_380, 2_380, 1_785), strict=True):
        proof = await scene.finish(asked(service), started=judged // 600)
        figures = scene.group(asked(service).fsr_id)["figures"]
        scene.figure(f"{service.value}: seconds that were judged", judged, figures["seconds"])
        scene.figure(f"{service.value}: seconds on the curve", within, figures["within"])
        scene.figure(f"{service.value}: score, ppm", 991_666, proof["score_ppm"])
        scene.figure(f"{service.value}: verdict", "DELIVERED", proof["verdict"])
        await story.agree(play, asked(service).fsr_id, proof)


async def _refusals(scene: Scene, parts: Mapping[Service, Mapping[str, str]]) -> None:
    last = asked(Service.WATT_VAR)
    scene.figure("E12 fails", "CONFORMITY check/not-covered-no-claim", scene.failed(last.fsr_id)["E12"])
    everybody = dict.fromkeys(parts[Service.WATT_VAR], 0)
    await scene.refusal(
        "an inverter that nobody tested for Q(P)",
        "rules/check-not-passed",
        scene.answer(last, parts[Service.WATT_VAR], everybody),
    )
    volt_var = PARAMS[Service.VOLT_VAR]
    assert isinstance(volt_var, VoltVarParams)  # noqa: S101 -- said above
    turned = VoltVarParams(
        points=volt_var.points[::-1],
        reference_millivolt=NOMINAL_MILLIVOLT,
        response_time_ms=5_000,
        tolerance_var=480,
    )
    await scene.refusal(
        "a curve that is not a function",
        "rules/curve-unordered",
        scene.issue(asked(Service.VOLT_VAR), fsr_id="fsr-turned", params=turned),
    )
    await scene.refusal(
        "a curve under a contract that is not there",
        "rules/contract-not-in-force",
        scene.issue(asked(Service.VOLT_WATT), fsr_id="fsr-elsewhere", fsc_ids=(SITE_CONTRACT + "-2",)),
    )


SCENARIO: Final = Scenario(
    name="voltage-support",
    title="Voltage support: P(U), Q(U), Q(P)",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(12, 30), power_w=7_000),) for bay in BAYS},
    acts=acts,
)
