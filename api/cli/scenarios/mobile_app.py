"""A mobile app: ten drivers let the app's provider decide for them; each keeps the last word."""

from typing import Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from ledger.delivery.baselines import Nomination
from ledger.records.actor import Role
from ledger.records.contracts import BaselineMethod
from ledger.records.opt import Choice, OptActor, OptDecided
from ledger.records.parties import DelegationGiven, Scope
from ledger.records.services import Service
from ledger.records.sites import CurrentKind

START_MS: Final = cast.at(18)
END_MS: Final = cast.at(18, 30)
BAYS: Final = bays(10, kind=CurrentKind.AC, services=(Service.CONGESTION, Service.LIMIT_MANDATORY), max_charge_w=11_000)
PLACE: Final = cast.Place(
    site_id="CITY-KERB-14",
    congestion_point="FI-TKU-0140",
    import_limit_w=120_000,
    export_limit_w=0,
    bays=BAYS,
    noise_w=0,
)
DELEGATING: Final = BAYS[:8]
"""Eight of ten use the app; the app's provider is a CSP with its own credential."""
CAREFUL: Final = BAYS[2:4]
"""Two users whose batteries the app spares this time."""
STAYING: Final = [bay.name for bay in BAYS if bay not in CAREFUL]
ASKED_W: Final = 24_000
CONGESTION: Final = Asked(
    fsr_id="fsr-app",
    params=props.congestion(START_MS, (ASKED_W,) * 2, point=PLACE.congestion_point),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=60_000,
    method=BaselineMethod.NOMINATION,
    inputs=Nomination(series_w=(7_000 * len(STAYING),) * 2),
)


async def acts(scene: Scene) -> None:
    """Delegated by the drivers, decided by the app, overruled by nobody else."""
    play = scene.play
    await scene.site_contract(terms(Service.CONGESTION, 40_000, BaselineMethod.NOMINATION))
    for bay in DELEGATING:
        await _give(scene, bay, cast.at(23))
    await scene.refusal(
        "a delegation that ended before it began",
        "rules/times-contradict",
        _give(scene, BAYS[8], cast.at(8)),
    )
    await play.goto(cast.at(17, 30))
    await scene.issue(CONGESTION)
    parts = await story.check(play, CONGESTION.fsr_id, BAYS)
    for bay in CAREFUL:
        await _decide(scene, cast.CSP, parts[bay.name], Choice.OUT)
    await scene.refusal(
        "the app decides for a driver who does not use it",
        "api/not-concerned",
        _decide(scene, cast.CSP, parts["E9"], Choice.OUT),
    )
    await scene.refusal(
        "the flexibility operator takes itself for a delegate",
        "api/not-concerned",
        _decide(scene, cast.FO, parts["E1"], Choice.IN),
    )
    await scene.refusal(
        "an offer with a car that the app has taken out",
        "rules/opted-out-offer",
        scene.answer(CONGESTION, parts, story.even_offers([*STAYING, "E3"], ASKED_W)),
    )
    await scene.answer(CONGESTION, parts, story.even_offers(STAYING, ASKED_W))
    await scene.commit(CONGESTION, [parts[name] for name in STAYING])
    proof = await scene.run(CONGESTION, started=len(STAYING))
    scene.figure("cars that the app takes out", 2, await scene.count(CONGESTION.fsr_id, "OPTED_OUT"))
    scene.figure("drawn, W", "[32000, 32000]", str(scene.column(CONGESTION.fsr_id, "actual_w")))
    scene.figure("delivered, W", "[24000, 24000]", str(scene.column(CONGESTION.fsr_id, "delivered_w")))
    scene.figure("energy, Wh", 12_000, proof["delivered_wh"])
    scene.figure("score, ppm", 1_000_000, proof["score_ppm"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await play.goto(cast.at(9, day=1))
    await story.agree(play, CONGESTION.fsr_id, proof)
    settled = await story.settle(play, CONGESTION.fsr_id, proof)
    scene.figure("settlement, millionths of a euro", 3_600_000, settled.net_micro)


async def _give(scene: Scene, bay: cast.Bay, until_ms: int) -> None:
    """The driver signs, with their own key, that the app's provider may decide until then."""
    given = DelegationGiven(
        delegation_id=f"delegation-{bay.name.lower()}",
        grantor_role=Role.EVU,
        delegate=cast.CSP,
        scopes=(Scope.OPT,),
        until_ms=until_ms,
    )
    person = scene.play.stage.party_id(bay.person)
    await scene.play.post(
        bay.person,
        "/v1/delegations",
        given,
        f"delegation/{given.delegation_id}",
        subjects=lambda _opened: person,
    )


async def _decide(scene: Scene, who: str, participation: str, choice: Choice) -> None:
    """Somebody decides in a driver's right."""
    record = OptDecided(
        opt_id=props.new_id("opt"),
        fsr_id=CONGESTION.fsr_id,
        participation=participation,
        actor=OptActor.EVU,
        choice=choice,
        by_delegate=True,
    )
    await scene.play.post(who, f"/v1/requests/{record.fsr_id}/decisions", record, f"fsr/{record.fsr_id}")


SCENARIO: Final = Scenario(
    name="mobile-app",
    title="Mobile app: the EV user through a delegate",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(17), power_w=7_000),) for bay in BAYS},
    acts=acts,
)
