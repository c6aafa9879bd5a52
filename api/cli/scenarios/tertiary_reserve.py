"""V2G tertiary reserve: ten of the twelve DC chargers of a park-and-ride give 60 kW to the grid for half an hour."""

from typing import Final

import msgspec

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from ledger.delivery.baselines import Zero
from ledger.records.contracts import BaselineMethod
from ledger.records.services import Direction, ReserveParams, Service
from ledger.records.sites import ClaimKind, CurrentKind

START_MS: Final = cast.at(10)
END_MS: Final = cast.at(10, 30)
BAYS: Final = bays(12, kind=CurrentKind.DC, services=(Service.RESERVE, Service.LIMIT_MANDATORY), max_discharge_w=22_000)
PLACE: Final = cast.Place(
    site_id="PARK-AND-RIDE-3",
    congestion_point="FI-ESP-0112",
    import_limit_w=280_000,
    export_limit_w=150_000,
    bays=BAYS,
    noise_w=0,
    without_consent=("E11",),
)
"""E11's user does not allow discharging."""
UNPROVEN: Final = "E12"
"""Has no conformity claim: its inverter may not feed the grid."""
WEAK: Final = "E10"
"""Its battery is kept from giving more than 5 kW."""

RESERVE: Final = Asked(
    fsr_id="fsr-reserve",
    params=ReserveParams(
        capacity_w=60_000,
        direction=Direction.UP,
        full_ms=750_000,
        interval_ms=5 * cast.MINUTE_MS,
        energy_budget_wh=3_500,
    ),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=1_000,
    method=BaselineMethod.ZERO,
    inputs=Zero(isp_count=6),
)
DEMANDS: Final = {
    bay.name: (
        (DemandStep(from_ms=cast.at(8), power_w=0), DemandStep(from_ms=START_MS, power_w=-5_000, overrides=True))
        if bay.name == WEAK
        else (DemandStep(from_ms=cast.at(8), power_w=0),)
    )
    for bay in BAYS
}


async def acts(scene: Scene) -> None:
    """The reserve is asked for, checked, activated, proven and agreed to."""
    play = scene.play
    proven = [bay for bay in BAYS if bay.name != UNPROVEN]
    await story.register(
        play, [(bay, ClaimKind.EVSE, (props.evse_thing(play.stage.made, bay),), Service.RESERVE) for bay in proven]
    )
    await scene.site_contract(terms(Service.RESERVE, 60_000, BaselineMethod.ZERO))
    await play.goto(cast.at(9, 30))
    await scene.refusal(
        "90 kW under a contract for 60 kW",
        "rules/contract-limit",
        scene.issue(RESERVE, fsr_id="fsr-too-much", params=msgspec.structs.replace(RESERVE.params, capacity_w=90_000)),
    )
    await scene.issue(RESERVE)
    parts = await story.check(play, RESERVE.fsr_id, BAYS)
    failed = scene.failed(RESERVE.fsr_id)
    scene.figure("E11 fails", "AUTHORIZATION check/discharge-not-allowed", failed["E11"])
    scene.figure("E12 fails", "CONFORMITY check/not-covered-no-claim", failed["E12"])
    able = [name for name in parts if name not in failed]
    offers = dict.fromkeys(able, 6_000)
    await scene.refusal(
        "an offer with E11, whose user does not allow it",
        "rules/check-not-passed",
        scene.answer(RESERVE, parts, {**offers, "E11": 6_000}),
    )
    await scene.answer(RESERVE, parts, offers)
    await scene.refusal(
        "a baseline of another method than the contract's",
        "rules/baseline-method",
        scene.commit(RESERVE, [parts[name] for name in able], method=BaselineMethod.NOMINATION),
    )
    await scene.commit(RESERVE, [parts[name] for name in able])
    proof = await scene.run(RESERVE, started=len(able))
    group = scene.group(RESERVE.fsr_id)
    scene.figure("EVSEs that take part", 10, len(able))
    scene.figure(
        "due in each interval, W", "[0, 0, 0, 60000, 60000, 60000]", str(scene.column(RESERVE.fsr_id, "ordered_w"))
    )
    scene.figure(
        "missing in each interval, W", "[0, 0, 0, 1000, 1000, 1000]", str(scene.column(RESERVE.fsr_id, "deficiency_w"))
    )
    scene.figure("score, ppm", 983_333, proof["score_ppm"])
    scene.figure("energy delivered, Wh", 14_750, proof["delivered_wh"])
    scene.figure("batteries over their budget", 0, group["figures"]["over_budget"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await scene.refusal(
        "a baseline after the fact",
        "rules/baseline-late",
        scene.commit(RESERVE, [parts[name] for name in able]),
    )
    await story.agree(play, RESERVE.fsr_id, proof)


SCENARIO: Final = Scenario(
    name="tertiary-reserve", title="V2G tertiary reserve", place=PLACE, demands=DEMANDS, acts=acts
)
