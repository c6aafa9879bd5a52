"""An energy community: ten homes charge with the noon sun, as many of them as want to."""

from typing import Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.client import discovery
from api.execution.simulator.demand import DemandStep
from ledger.delivery.baselines import Nomination
from ledger.records import statement
from ledger.records.contracts import BaselineMethod, ContractKind, HoldersAnswered, HoldersAsked
from ledger.records.opt import OptReason
from ledger.records.services import Direction, Service
from ledger.records.sites import CurrentKind

START_MS: Final = cast.at(12)
END_MS: Final = cast.at(12, 30)
BASE_W: Final = 1_400
BAYS: Final = bays(10, kind=CurrentKind.AC, services=(Service.CONGESTION, Service.LIMIT_MANDATORY), max_charge_w=11_000)
PLACE: Final = cast.Place(
    site_id="SUNNY-LANE",
    congestion_point="FI-POR-0300",
    import_limit_w=120_000,
    export_limit_w=60_000,
    bays=BAYS,
    noise_w=0,
)
CONTRACT: Final = "fsc-community"
AWAY: Final = BAYS[6:]
"""Members who opt out; the contract allows four of them at a time."""
STAYING: Final = [bay.name for bay in BAYS[:6]]
SUN: Final = Asked(
    fsr_id="fsr-sun",
    params=props.congestion(START_MS, (40_000,) * 2, point=PLACE.congestion_point, direction=Direction.DOWN),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=60_000,
    method=BaselineMethod.NOMINATION,
    inputs=Nomination(series_w=(BASE_W * len(STAYING),) * 2),
    fsc_ids=(CONTRACT,),
    is_downward=True,
)


async def acts(scene: Scene) -> None:
    """40 kW more than usual for half an hour, from whoever stays in."""
    play = scene.play
    text = props.contract(
        CONTRACT,
        ContractKind.FO_CSP,
        (terms(Service.CONGESTION, 60_000, BaselineMethod.NOMINATION, direction=Direction.DOWN),),
        counterparty=cast.CSP,
        evse_ids=tuple(bay.evse_id for bay in BAYS),
        site_id=PLACE.site_id,
    )
    await story.both_sign(play, text, cast.CSP)
    await play.goto(cast.at(11))
    await scene.refusal(
        "another operator asks under the community's contract",
        "rules/wrong-party",
        play.post(
            cast.RIVAL,
            "/v1/requests",
            SUN.text(PLACE, play.stage.clock.now_ms(), fsr_id="fsr-rival"),
            "fsr/fsr-rival",
        ),
    )
    await _discover(scene)
    await scene.issue(SUN)
    parts = await story.check(play, SUN.fsr_id, BAYS)
    for bay in AWAY:
        await story.opt_out(play, bay, SUN.fsr_id, parts[bay.name], OptReason.USER_PREFERENCE)
    await scene.refusal(
        "a fifth member opts out",
        "rules/opt-limit",
        story.opt_out(play, BAYS[5], SUN.fsr_id, parts["E6"], OptReason.USER_PREFERENCE),
    )
    offers = story.even_offers(STAYING, 40_000)
    await scene.refusal(
        "an offer with a member who opted out",
        "rules/opted-out-offer",
        scene.answer(SUN, parts, {**story.even_offers([*STAYING[1:], "E7"], 40_000)}),
    )
    await scene.answer(SUN, parts, offers)
    await scene.commit(SUN, [parts[name] for name in STAYING])
    proof = await scene.run(SUN, started=len(STAYING))
    scene.figure("members who take part", 6, len(STAYING))
    scene.figure("drawn, W", "[48400, 48400]", str(scene.column(SUN.fsr_id, "actual_w")))
    scene.figure("more than the baseline, W", "[40000, 40000]", str(scene.column(SUN.fsr_id, "delivered_w")))
    scene.figure("energy, Wh", 20_000, proof["delivered_wh"])
    scene.figure("verdict", "DELIVERED", proof["verdict"])
    await play.goto(cast.at(9, day=1))
    await story.agree(play, SUN.fsr_id, proof)
    settled = await story.settle(play, SUN.fsr_id, proof)
    scene.figure("settlement, millionths of a euro", 6_000_000, settled.net_micro)


async def _discover(scene: Scene) -> None:
    """Who asks learns of own contracts only."""
    found = []
    for who in (cast.FO, cast.RIVAL):
        query_id = props.new_id("query")
        query = HoldersAsked(
            query_id=query_id,
            candidates=discovery.candidates(scene.play.offers.values(), query_id),
            site_id=PLACE.site_id,
            service=Service.CONGESTION,
            start_at_ms=START_MS,
            end_at_ms=END_MS,
        )
        receipt = await scene.play.post(who, "/v1/contracts/discovery", query, f"discovery/{query.query_id}")
        entry = await scene.play.ask(cast.AUD, f"/v1/entries/{receipt.index + 1}")
        answered = statement.parse_statement(entry["stmt"]).record
        assert isinstance(answered, HoldersAnswered)  # noqa: S101 -- the answer follows its question
        names = discovery.recognised(scene.play.offers, query_id)
        found.append([names.get(match.blinded) for match in answered.matches].count(CONTRACT))
    scene.figure("contracts that each of two operators learns of", "[1, 0]", str(found))


SCENARIO: Final = Scenario(
    name="energy-community",
    title="Energy community",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(11), power_w=BASE_W),) for bay in BAYS},
    acts=acts,
)
