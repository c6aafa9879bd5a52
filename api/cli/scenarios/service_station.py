"""An EV service station: ten fast chargers follow a setpoint that the flexibility operator moves while they run."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from api.cli.demo import cast, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from ledger.delivery.baselines import Nomination
from ledger.records.contracts import BaselineMethod
from ledger.records.requests import SetpointBatch, SetpointStepMoved
from ledger.records.services import Service, SetpointParams, SetpointStep
from ledger.records.sites import CurrentKind

START_MS: Final = cast.at(12)
END_MS: Final = cast.at(12, 15)
STEP_MS: Final = 5 * cast.MINUTE_MS
BAYS: Final = bays(10, kind=CurrentKind.DC, services=(Service.SETPOINT, Service.LIMIT_MANDATORY), max_charge_w=150_000)
PLACE: Final = cast.Place(
    site_id="SERVICE-STATION-E75",
    congestion_point="FI-LAH-0075",
    import_limit_w=1_500_000,
    export_limit_w=0,
    bays=BAYS,
    noise_w=0,
)
ORDERED_W: Final = (600_000, 400_000, 700_000)
SETPOINT: Final = Asked(
    fsr_id="fsr-setpoint",
    params=SetpointParams(
        series=tuple(
            SetpointStep(start_at_ms=START_MS + n * STEP_MS, duration_ms=STEP_MS, power_w=power_w)
            for n, power_w in enumerate(ORDERED_W)
        ),
        ramp_w_per_s=200_000,
        update_interval_s=60,
    ),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=1_000,
    method=BaselineMethod.NOMINATION,
    inputs=Nomination(series_w=(700_000,)),
    step_ms=30_000,
)


def batch(number: int, steps: Sequence[tuple[int, int]], fsr_id: str = SETPOINT.fsr_id) -> SetpointBatch:
    """A signed batch of (when, W of the group)."""
    return SetpointBatch(
        fsr_id=fsr_id,
        batch=number,
        steps=tuple(SetpointStepMoved(at_ms=at_ms, power_w=power_w) for at_ms, power_w in steps),
    )


async def acts(scene: Scene) -> None:
    """600, 500, 400 and 700 kW: the second of them moved in while the station runs."""
    play = scene.play
    await scene.site_contract(terms(Service.SETPOINT, 700_000, BaselineMethod.NOMINATION, tolerance_w=500))
    await play.goto(cast.at(11, 30))
    late = dataclasses.replace(
        SETPOINT,
        fsr_id="fsr-gap",
        params=SetpointParams(
            series=(SetpointStep(start_at_ms=START_MS, duration_ms=STEP_MS, power_w=600_000),),
            ramp_w_per_s=200_000,
            update_interval_s=60,
        ),
    )
    await scene.refusal("a series that ends before the window does", "rules/series-outside", scene.issue(late))
    await scene.issue(SETPOINT)
    parts = await story.check(play, SETPOINT.fsr_id, BAYS)
    scene.figure("EVSEs that pass", 10, len(parts) - len(scene.failed(SETPOINT.fsr_id)))
    await scene.answer(SETPOINT, parts, dict.fromkeys(parts, 70_000))
    await scene.commit(SETPOINT, list(parts.values()))
    await scene.start(SETPOINT, started=len(parts))
    await scene.reached(60_000)
    await play.drive(cast.at(12, 2), SETPOINT.step_ms)
    await _move(scene)
    for at_ms, power_w in ((cast.at(12, 4), 50_000), (cast.at(12, 5), 40_000), (cast.at(12, 10), 70_000)):
        await play.drive(at_ms, SETPOINT.step_ms)
        await scene.reached(power_w)
    proof = await scene.finish(SETPOINT, started=len(parts))
    figures = scene.group(SETPOINT.fsr_id)["figures"]
    scene.figure("seconds that are judged, of all EVSEs", 8_840, figures["judged"])
    scene.figure("seconds within 500 W of the setpoint", 8_840, figures["in_band"])
    scene.figure("tracking, ppm", 1_000_000, figures["tracking_ppm"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await story.agree(play, SETPOINT.fsr_id, proof)


async def _move(scene: Scene) -> None:
    """Only the flexibility operator moves the setpoint, batch after batch, inside the window."""
    move = ((cast.at(12, 4), 500_000),)
    await scene.refusal(
        "the station's operator moves the setpoint", "api/role-not-allowed", _send(scene, cast.CSO, batch(1, move))
    )
    await scene.refusal("the third batch before the first", "rules/setpoint-gap", _send(scene, cast.FO, batch(3, move)))
    await scene.refusal(
        "a setpoint after the end", "rules/setpoint-outside", _send(scene, cast.FO, batch(1, ((END_MS, 500_000),)))
    )
    await _send(scene, cast.FO, batch(1, move))


async def _send(scene: Scene, who: str, moved: SetpointBatch) -> None:
    await scene.play.post(who, f"/v1/requests/{moved.fsr_id}/setpoints", moved, f"fsr/{moved.fsr_id}")


SCENARIO: Final = Scenario(
    name="service-station",
    title="EV service station",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(8), power_w=0),) for bay in BAYS},
    acts=acts,
)
