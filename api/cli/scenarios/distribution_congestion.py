"""Distribution congestion: twelve chargers behind one transformer, 30 kW less for an hour, then a mandatory cap."""

from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep, shared
from ledger.delivery.baselines import Nomination
from ledger.records.contracts import BaselineMethod
from ledger.records.opt import OptReason
from ledger.records.services import LimitMandatoryParams, Service
from ledger.records.sites import CurrentKind

START_MS: Final = cast.at(17)
END_MS: Final = cast.at(18)
CAP_START_MS: Final = cast.at(18, 30)
CAP_END_MS: Final = cast.at(18, 45)
CAP_W: Final = 12 * 4_200
BAYS: Final = bays(12, kind=CurrentKind.AC, services=(Service.CONGESTION, Service.LIMIT_MANDATORY), max_charge_w=11_000)
PLACE: Final = cast.Place(
    site_id="STREET-GARAGE-9",
    congestion_point="FI-HEL-0417",
    import_limit_w=140_000,
    export_limit_w=0,
    bays=BAYS,
    noise_w=0,
)
ACTUAL_W: Final = (54_000, 55_000, 50_000, 60_000)
"""What the group draws in the four quarters of the hour, whatever it is told."""
CONGESTION: Final = Asked(
    fsr_id="fsr-congestion",
    params=props.congestion(START_MS, (30_000,) * 4, point=PLACE.congestion_point),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=60_000,
    method=BaselineMethod.NOMINATION,
    inputs=Nomination(series_w=(84_000,) * 4),
)
CAP: Final = Asked(
    fsr_id="fsr-cap",
    params=LimitMandatoryParams(import_cap_w=CAP_W, floor_w_per_evse=4_200, t_comply_ms=60_000),
    start_at_ms=CAP_START_MS,
    end_at_ms=CAP_END_MS,
    resolution_ms=1_000,
    method=BaselineMethod.LIMIT,
    step_ms=60_000,
)


def demands() -> dict[str, tuple[DemandStep, ...]]:
    """7 kW each from 16:30 on, but exactly the shares of `ACTUAL_W` in the hour of the request."""
    quarters = [shared(total_w, len(BAYS)) for total_w in ACTUAL_W]
    return {
        bay.name: (
            DemandStep(from_ms=cast.at(16, 30), power_w=7_000),
            *(
                DemandStep(from_ms=START_MS + n * props.QUARTER_MS, power_w=quarter[place], overrides=True)
                for n, quarter in enumerate(quarters)
            ),
            DemandStep(from_ms=END_MS, power_w=7_000),
        )
        for place, bay in enumerate(BAYS)
    }


async def acts(scene: Scene) -> None:
    """The market first, the mandate afterwards."""
    play = scene.play
    await scene.site_contract(terms(Service.CONGESTION, 40_000, BaselineMethod.NOMINATION))
    await play.goto(cast.at(16, 30))
    await scene.issue(CONGESTION)
    parts = await story.check(play, CONGESTION.fsr_id, BAYS)
    await scene.answer(CONGESTION, parts, story.even_offers(list(parts), 30_000))
    await scene.commit(CONGESTION, list(parts.values()))
    await play.goto(cast.at(16, 36))
    await scene.refusal(
        "a car's user opts out after the deadline",
        "rules/opt-late",
        story.opt_out(play, BAYS[0], CONGESTION.fsr_id, parts["E1"], OptReason.USER_PREFERENCE),
    )
    proof = await scene.run(CONGESTION, started=len(parts))
    scene.figure("delivered, W", "[30000, 29000, 30000, 24000]", str(scene.column(CONGESTION.fsr_id, "delivered_w")))
    scene.figure("missing, W", "[0, 1000, 0, 6000]", str(scene.column(CONGESTION.fsr_id, "deficiency_w")))
    scene.figure("score, ppm", 941_666, proof["score_ppm"])
    scene.figure("energy, Wh", 28_250, proof["delivered_wh"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await _cap(scene)
    await play.goto(cast.at(9, day=1))
    await story.agree(play, CONGESTION.fsr_id, proof)
    settled = await story.settle(play, CONGESTION.fsr_id, proof)
    scene.figure("settlement, millionths of a euro", 7_687_500, settled.net_micro)


async def _cap(scene: Scene) -> None:
    """The grid operator's directive: 4.2 kW each from 18:30 on."""
    play, stage = scene.play, scene.play.stage
    await play.drive(cast.at(18, 29))
    now_ms = stage.clock.now_ms()

    def mandate(signer: str) -> dict[str, Any]:
        return {
            "fsc_ids": (),
            "respond_by_ms": CAP_START_MS,
            "opt_deadline_ms": CAP_START_MS,
            "mandate": props.mandate(
                stage.signing(signer),
                stage.party_id(signer),
                now_ms,
                CAP_END_MS,
                site_id=PLACE.site_id,
                cap_w=CAP_W,
            ),
        }

    await scene.refusal(
        "a directive that the flexibility operator signed itself",
        "rules/mandate-unproven",
        scene.issue(CAP, fsr_id="fsr-forged", **mandate(cast.FO)),
    )
    fo = stage.clients[cast.FO]
    fo.conversation.certificates = (stage.signing(cast.SO).certificate.public_bytes(Encoding.DER),)
    await scene.issue(CAP, **mandate(cast.SO))
    fo.conversation.certificates = ()
    parts = await story.check(play, CAP.fsr_id, BAYS)
    await scene.refusal(
        "opting out of the mandate",
        "rules/opt-mandatory",
        story.opt_out(play, BAYS[3], CAP.fsr_id, parts["E4"], OptReason.MOBILITY_NEED),
    )
    proof = await scene.run(CAP, started=len(BAYS))
    figures = scene.group(CAP.fsr_id)["figures"]
    scene.figure("the highest quarter minute under the cap, W", CAP_W, figures["max_w"])
    scene.figure("the cap is kept", "DELIVERED", proof["verdict"])


SCENARIO: Final = Scenario(
    name="distribution-congestion", title="Distribution congestion", place=PLACE, demands=demands(), acts=acts
)
