"""An EV fleet: twelve delivery vans of one fleet manager charge when it is cheap; two of them are needed."""

from typing import Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays, terms
from api.execution.simulator.demand import DemandStep
from ledger.delivery.baselines import Nomination
from ledger.records.actor import Role
from ledger.records.contracts import BaselineMethod, ContractKind
from ledger.records.opt import Choice, OptActor, OptReason, OptScheduled
from ledger.records.parties import DelegationGiven, DelegationRevoked, Scope
from ledger.records.services import PriceParams, PriceStep, Service
from ledger.records.sites import CurrentKind

START_MS: Final = cast.at(20)
END_MS: Final = cast.at(21)
FULL_W: Final = 11_000
FLOOR_W: Final = 1_400
PRICES_MICRO: Final = (300_000, 100_000, 100_000, 300_000)
BAYS: Final = bays(12, kind=CurrentKind.AC, services=(Service.PRICE, Service.LIMIT_MANDATORY), max_charge_w=FULL_W)
MANAGER: Final = "EVU-E1"
"""The fleet manager is the EV user of every van."""
DRIVER: Final = "EVU-E2"
"""Drives the van at E11, and may speak for the manager while a delegation lasts."""
ON_TOUR: Final = BAYS[11]
"""Leaves for its evening tour: scheduled ahead of any request."""
LATE: Final = BAYS[10]
PLACE: Final = cast.Place(
    site_id="DELIVERY-HUB-2",
    congestion_point="FI-VAN-0204",
    import_limit_w=140_000,
    export_limit_w=0,
    bays=BAYS,
    noise_w=0,
    holder="E1",
)
CONTRACT: Final = "fsc-fleet"
STAYING: Final = [bay.name for bay in BAYS[:10]]
PRICE: Final = Asked(
    fsr_id="fsr-fleet",
    params=PriceParams(
        tariff_ref="SPOT-FI",
        currency="EUR",
        series=tuple(
            PriceStep(start_at_ms=START_MS + n * props.QUARTER_MS, duration_ms=props.QUARTER_MS, import_micro_per_kwh=p)
            for n, p in enumerate(PRICES_MICRO)
        ),
        floor_w_per_evse=FLOOR_W,
    ),
    start_at_ms=START_MS,
    end_at_ms=END_MS,
    resolution_ms=60_000,
    method=BaselineMethod.NOMINATION,
    inputs=Nomination(series_w=(FULL_W * len(STAYING),) * 4),
    fsc_ids=(CONTRACT,),
    step_ms=60_000,
)
DELEGATION: Final = DelegationGiven(
    delegation_id="delegation-driver", grantor_role=Role.EVU, scopes=(Scope.OPT,), until_ms=cast.at(23)
)


async def acts(scene: Scene) -> None:
    """The manager contracts, schedules and delegates; the vans react to the price."""
    play = scene.play
    manager = play.stage.party_id(MANAGER)
    text = props.contract(
        CONTRACT,
        ContractKind.FO_EVU,
        (terms(Service.PRICE, FULL_W * len(BAYS), BaselineMethod.NOMINATION),),
        evu=manager,
        evse_ids=tuple(bay.evse_id for bay in BAYS),
        site_id=PLACE.site_id,
    )
    await story.both_sign(play, text, MANAGER, subject=manager)
    await _schedule(scene)
    await play.goto(cast.at(19, 30))
    await scene.issue(PRICE)
    parts = await story.check(play, PRICE.fsr_id, BAYS)
    scene.figure("vans that are out by schedule", 1, await scene.count(PRICE.fsr_id, "OPTED_OUT"))
    await scene.refusal(
        "a driver without delegation opts a van out", "api/not-concerned", _driver_opts_out(scene, parts[LATE.name])
    )
    await _delegate(scene)
    await _driver_opts_out(scene, parts[LATE.name])
    gone = DelegationRevoked(delegation_id=DELEGATION.delegation_id)
    await play.post(MANAGER, f"/v1/delegations/{gone.delegation_id}/revocation", gone, _stream())
    await scene.refusal(
        "the driver opts another van out after the delegation was taken back",
        "api/not-concerned",
        _driver_opts_out(scene, parts["E5"]),
    )
    await scene.answer(PRICE, parts, dict.fromkeys(STAYING, FULL_W))
    await scene.refusal(
        "a baseline that counts the vans on tour",
        "rules/baseline-participants",
        scene.commit(PRICE, list(parts.values())),
    )
    await scene.commit(PRICE, [parts[name] for name in STAYING])
    await scene.start(PRICE, started=len(STAYING))
    for quarter, price in enumerate(PRICES_MICRO):
        await play.drive(START_MS + quarter * props.QUARTER_MS, PRICE.step_ms)
        await scene.limited(len(STAYING), FULL_W if price == min(PRICES_MICRO) else FLOOR_W)
    proof = await scene.finish(PRICE, started=len(STAYING))
    scene.figure("vans that react", 10, len(STAYING))
    scene.figure("drawn, W", "[14000, 103600, 110000, 20400]", str(scene.column(PRICE.fsr_id, "actual_w")))
    scene.figure("reaction, W, over the four quarters", 192_000, scene.group(PRICE.fsr_id)["figures"]["reaction_w_sum"])
    scene.figure("verdict", "INFORMATIVE", proof["verdict"])
    await story.agree(play, PRICE.fsr_id, proof)


async def _schedule(scene: Scene) -> None:
    """Ahead of any request the manager says that one van is never there between eight and nine."""
    wanted = OptScheduled(
        schedule_id="schedule-tour",
        actor=OptActor.EVU,
        choice=Choice.OUT,
        from_ms=cast.at(19, 55),
        until_ms=cast.at(21, 5),
        evse_ids=(ON_TOUR.evse_id,),
    )
    manager = scene.play.stage.party_id(MANAGER)
    await scene.play.post(
        MANAGER, "/v1/schedules", wanted, f"schedule/{wanted.schedule_id}", subjects=lambda _opened: manager
    )


async def _delegate(scene: Scene) -> None:
    given = scene.given(DELEGATION, MANAGER, DRIVER)
    manager = scene.play.stage.party_id(MANAGER)
    await scene.play.post(MANAGER, "/v1/delegations", given, _stream(), subjects=lambda _opened: manager)


async def _driver_opts_out(scene: Scene, participation: str) -> None:
    await story.opt_out(scene.play, LATE, PRICE.fsr_id, participation, OptReason.MUST_RUN, who=DRIVER)


def _stream() -> str:
    return f"delegation/{DELEGATION.delegation_id}"


SCENARIO: Final = Scenario(
    name="ev-fleet",
    title="EV fleet",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(19), power_w=FULL_W),) for bay in BAYS},
    acts=acts,
)
