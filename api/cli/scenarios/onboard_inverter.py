"""Inverters on board: twelve AC chargers of an office, and a frequency droop for the cars that may follow it there."""

from typing import Final

import msgspec

from api.cli.demo import cast, props, story
from api.cli.demo.story import Wanted
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays
from api.execution.simulator.demand import DemandStep
from api.execution.simulator.frequency import Frequency, Trace
from ledger.records.contracts import BaselineMethod
from ledger.records.opt import OptReason
from ledger.records.services import CurvePoint, DroopParams, Service
from ledger.records.sites import ClaimKind, CurrentKind

START_MS: Final = cast.at(10)
END_MS: Final = cast.at(10, 10)
BAYS: Final = bays(
    12,
    kind=CurrentKind.AC,
    services=(Service.DROOP, Service.LIMIT_MANDATORY),
    max_charge_w=11_000,
    max_discharge_w=11_000,
)
BOTH: Final = BAYS[:5]
"""A claim for the EVSE and one for the car's inverter."""
PAIRED: Final = BAYS[5:10]
"""One claim for the matched pair."""
HALF, STRANGE = BAYS[10], BAYS[11]
"""The charger has a claim, the car none; and a pair claim that is for another charger."""
PLACE: Final = cast.Place(
    site_id="OFFICE-WEST",
    congestion_point="FI-HEL-0733",
    import_limit_w=140_000,
    export_limit_w=132_000,
    bays=BAYS,
    noise_w=0,
)
CORNERS: Final = ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000))
DROOP: Final = Asked(
    fsr_id="fsr-droop",
    params=DroopParams(
        points=tuple(CurvePoint(freq_millihertz=freq, power_w=power_w) for freq, power_w in CORNERS),
        response_time_ms=1_000,
        base_w=0,
        tolerance_w=550,
    ),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=1_000,
    method=BaselineMethod.CURVE,
    fsc_ids=tuple(f"fsc-{bay.name.lower()}" for bay in BAYS),
    is_downward=True,
    step_ms=60_000,
)


def frequency() -> Frequency:
    """50.0 Hz; from 10:02 to 10:04 down to 49.7 Hz, there until 10:07, and back until 10:09."""
    corners = ((0, 50_000), (2, 50_000), (4, 49_700), (7, 49_700), (9, 50_000))
    return Trace([(cast.at(10, minute), millihertz) for minute, millihertz in corners])


async def acts(scene: Scene) -> None:
    """Claims and contracts of twelve cars, ten of which may follow the droop, and do."""
    play = scene.play
    await story.register(play, _claims(scene))
    await scene.person_contracts(Service.DROOP, 22_000, BaselineMethod.CURVE)
    await play.goto(cast.at(9, 30))
    params = DROOP.params
    assert isinstance(params, DroopParams)  # noqa: S101 -- said above
    turned = msgspec.structs.replace(params, points=params.points[::-1])
    await scene.refusal(
        "a curve that is not a function",
        "rules/curve-unordered",
        scene.issue(DROOP, fsr_id="fsr-turned", params=turned),
    )
    await scene.issue(DROOP)
    parts = await story.check(play, DROOP.fsr_id, BAYS)
    failed = scene.failed(DROOP.fsr_id)
    scene.figure("E11 fails", "CONFORMITY check/not-covered-no-claim", failed["E11"])
    scene.figure("E12 fails", "CONFORMITY check/not-covered-no-claim", failed["E12"])
    able = [name for name in parts if name not in failed]
    scene.figure("cars that may follow", 10, len(able))
    offers = dict.fromkeys(able, 11_000)
    await scene.refusal(
        "an offer with a car that nobody certified",
        "rules/check-not-passed",
        scene.answer(DROOP, parts, {**offers, "E11": 11_000}),
    )
    await scene.refusal(
        "a neighbour opts the car at E1 out",
        "api/not-concerned",
        story.opt_out(play, BAYS[1], DROOP.fsr_id, parts["E1"], OptReason.USER_PREFERENCE),
    )
    await scene.answer(DROOP, parts, offers)
    await scene.commit(DROOP, [parts[name] for name in able])
    proof = await scene.run(DROOP, started=len(able))
    figures = scene.group(DROOP.fsr_id)["figures"]
    scene.figure("seconds that were judged, of all cars", 6_000, figures["seconds"])
    scene.figure("seconds within 550 W of the curve", 5_990, figures["within"])
    scene.figure("seconds that nothing was measured before", 10, figures["unproven"])
    scene.figure("score, ppm", 998_333, proof["score_ppm"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await story.agree(play, DROOP.fsr_id, proof)


def _claims(scene: Scene) -> list[Wanted]:
    made, cars = scene.play.stage.made, scene.play.stage.car_keys
    wanted: list[Wanted] = [
        (bay, ClaimKind.EVSE, (props.evse_thing(made, bay),), Service.DROOP) for bay in (*BOTH, HALF)
    ]
    wanted += [(bay, ClaimKind.EV, (props.car_thing(cars[bay.name]),), Service.DROOP) for bay in BOTH]
    for bay, charger in (*((bay, bay) for bay in PAIRED), (STRANGE, BAYS[0])):
        pair = (props.evse_thing(made, charger), props.car_thing(cars[bay.name]))
        wanted.append((bay, ClaimKind.PAIR, pair, Service.DROOP))
    return wanted


SCENARIO: Final = Scenario(
    name="onboard-inverter",
    title="Onboard bidirectional inverter",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(8), power_w=0),) for bay in BAYS},
    acts=acts,
    frequency=frequency,
)
