"""Fast frequency response: ten DC chargers of a motorway station, 120 kW in a second when the frequency falls."""

import dataclasses
from typing import Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from api.execution.simulator.frequency import EventDay, Frequency, LossEvent
from ledger.records.contracts import BaselineMethod
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.records.services import Direction, FfrParams, Service
from ledger.records.sites import ClaimKind, CurrentKind

START_MS: Final = cast.at(10)
END_MS: Final = cast.at(10, 20)
EVENT_MS: Final = cast.at(10, 2)
CAPACITY_W: Final = 120_000
OFFERED_W: Final = 12_500
BAYS: Final = bays(10, kind=CurrentKind.DC, services=(Service.FFR, Service.LIMIT_MANDATORY), max_discharge_w=22_000)
PLACE: Final = cast.Place(
    site_id="MOTORWAY-E18-NORTH",
    congestion_point="FI-TRE-0021",
    import_limit_w=250_000,
    export_limit_w=150_000,
    bays=BAYS,
    noise_w=0,
)
FFR: Final = Asked(
    fsr_id="fsr-ffr",
    params=FfrParams(
        f_trigger_millihertz=49_600,
        t_full_ms=1_000,
        support_ms=30_000,
        release_ppm_per_s=200_000,
        capacity_w=CAPACITY_W,
        max_over_ppm=350_000,
        direction=Direction.UP,
        base_w=8_000,
    ),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=100,
    method=BaselineMethod.PRE_EVENT,
    step_ms=60_000,
)


def frequency() -> Frequency:
    """Quiet without noise, then a loss of generation two minutes after the start."""
    return EventDay([LossEvent(at_ms=EVENT_MS)], seed=1, noise_millihertz=0)


async def acts(scene: Scene) -> None:
    """Armed, triggered, proven; and what may not be sold, opted or forged."""
    play = scene.play
    await story.register(
        play, [(bay, ClaimKind.EVSE, (props.evse_thing(play.stage.made, bay),), Service.FFR) for bay in BAYS]
    )
    await scene.site_contract(terms(Service.FFR, 150_000, BaselineMethod.PRE_EVENT))
    await play.goto(cast.at(9, 30))
    await scene.issue(FFR)
    parts = await story.check(play, FFR.fsr_id, BAYS)
    scene.figure("EVSEs that pass", 10, len(parts) - len(scene.failed(FFR.fsr_id)))
    await scene.refusal(
        "the flexibility operator opts an EVSE in", "rules/fo-may-not-opt", _opt(scene, cast.FO, parts["E1"])
    )
    await scene.answer(FFR, parts, dict.fromkeys(parts, OFFERED_W))
    await scene.commit(FFR, list(parts.values()))
    await _sell_twice(scene)
    proof = await scene.run(FFR, started=len(parts))
    figures = scene.group(FFR.fsr_id)["figures"]
    scene.figure("the event begins, ms after 10:02", 1_200, figures["t0_at_ms"] - EVENT_MS)
    scene.figure("capacity, W", CAPACITY_W, figures["capacity_w"])
    scene.figure("power a second after the trigger, W", 125_000, figures["at_full_w"])
    scene.figure("least power in 30 s, W", 125_000, figures["min_support_w"])
    scene.figure("120 kW are reached after, ms", 600, figures["activated_after_ms"])
    scene.figure("over-delivery, ppm", 41_667, figures["over_ppm"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await story.agree(play, FFR.fsr_id, proof)
    await scene.refusal("the proof is agreed to twice", "rules/already-recorded", story.agree(play, FFR.fsr_id, proof))


async def _sell_twice(scene: Scene) -> None:
    """Four of the EVSEs for another 35 kW each: 47.5 kW are more than the 44 kW between full charge and discharge."""
    twice = dataclasses.replace(FFR, fsr_id="fsr-sold-twice")
    await scene.issue(twice)
    parts = await story.check(scene.play, twice.fsr_id, BAYS[:4])
    await scene.refusal(
        "the same EVSEs are sold twice",
        "rules/double-selling",
        scene.answer(twice, parts, dict.fromkeys(parts, 35_000)),
    )


async def _opt(scene: Scene, who: str, participation: str) -> None:
    record = OptDecided(
        opt_id=props.new_id("opt"),
        fsr_id=FFR.fsr_id,
        participation=participation,
        actor=OptActor.CSO,
        choice=Choice.IN,
    )
    await scene.play.post(who, f"/v1/requests/{FFR.fsr_id}/decisions", record, f"fsr/{FFR.fsr_id}")


SCENARIO: Final = Scenario(
    name="fast-frequency-response",
    title="Fast frequency response",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(8), power_w=8_000),) for bay in BAYS},
    acts=acts,
    frequency=frequency,
)
