"""V2H at a dynamic price: twelve homes, whose cars carry the house when power is dear; one request a home."""

from typing import Any, Final

from api.cli.demo import cast, props, story
from api.cli.scenarios.scene import Asked, Scenario, Scene, bays
from api.execution.simulator.demand import DemandStep
from ledger.records.contracts import BaselineMethod
from ledger.records.requests import Answer, RejectReason, RequestAnswered
from ledger.records.services import PriceStep, Service, V2hParams
from ledger.records.sites import ClaimKind, CurrentKind, EvLimits

START_MS: Final = cast.at(18)
END_MS: Final = cast.at(18, 30)
PRICES_MICRO: Final = (400_000, 100_000)
CHARGE_W: Final = 3_000
BAYS: Final = bays(
    12,
    kind=CurrentKind.DC,
    services=(Service.V2H, Service.LIMIT_MANDATORY),
    max_charge_w=11_000,
    max_discharge_w=11_000,
)
HOMES: Final = BAYS[:10]
PLACE: Final = cast.Place(
    site_id="GARDEN-SUBURB",
    congestion_point="FI-OUL-0500",
    import_limit_w=200_000,
    export_limit_w=100_000,
    bays=BAYS,
    noise_w=0,
    without_consent=("E11",),
    houses_w={bay.name: 1_200 + 100 * number for number, bay in enumerate(BAYS, 1)},
    cars={bay.name: EvLimits(usable_energy_wh=75_000, soc_permille=290 if bay.name == "E12" else 500) for bay in BAYS},
)
"""House n draws 1.2 kW and 100 W times n. E11's user does not allow discharging, E12's battery is almost empty."""


def asked(bay: cast.Bay) -> Asked:
    """The request of one home."""
    return Asked(
        fsr_id=f"fsr-home-{bay.name.lower()}",
        params=V2hParams(
            tariff_ref="SPOT-FI",
            currency="EUR",
            series=tuple(
                PriceStep(
                    start_at_ms=START_MS + n * props.QUARTER_MS,
                    duration_ms=props.QUARTER_MS,
                    import_micro_per_kwh=price,
                )
                for n, price in enumerate(PRICES_MICRO)
            ),
            reserve_soc_permille=300,
            energy_budget_wh=600,
        ),
        start_at_ms=START_MS,
        end_at_ms=END_MS,
        resolution_ms=1_000,
        method=BaselineMethod.CURVE,
        fsc_ids=(f"fsc-{bay.name.lower()}",),
        is_downward=True,
        step_ms=60_000,
    )


async def acts(scene: Scene) -> None:
    """Ten homes are carried by their cars for a quarter of an hour; two may not be."""
    play = scene.play
    made = play.stage.made
    await story.register(play, [(bay, ClaimKind.EVSE, (props.evse_thing(made, bay),), Service.V2H) for bay in BAYS])
    await scene.person_contracts(Service.V2H, 11_000, BaselineMethod.CURVE)
    await play.goto(cast.at(17, 30))
    parts = {bay.name: await _ask(scene, bay) for bay in BAYS}
    await _turn_down(scene, parts)
    for bay in HOMES:
        await scene.answer(asked(bay), parts[bay.name], {bay.name: 11_000})
        await scene.commit(asked(bay), [parts[bay.name][bay.name]])
    await scene.refusal(
        "a revision after the answer",
        "rules/revision-late",
        scene.revise(asked(HOMES[0])),
    )
    for bay in HOMES:
        await scene.start(asked(bay), started=1)
    for quarter, price in enumerate(PRICES_MICRO):
        await play.drive(START_MS + quarter * props.QUARTER_MS, 60_000)
        await scene.balanced(len(HOMES) if price == max(PRICES_MICRO) else 0)
    figures = [await _prove(scene, bay) for bay in HOMES]
    scene.figure("homes that take part", 10, len(HOMES))
    first = asked(HOMES[0]).fsr_id
    scene.figure("drawn by the first house, W", "[5, 4295]", str(scene.column(first, "actual_w")))
    scene.figure("the first house without its car, W", "[1300, 1300]", str(scene.column(first, "baseline_w")))
    scene.figure("saved by the ten, millionths of a euro", 996_025, sum(one["saved_micro"] for one in figures))
    scene.figure("batteries beyond their budget or below their reserve", 0, sum(_breaches(one) for one in figures))
    scene.figure("homes that never fed in", 10, sum(one["kept"] == one["intervals"] for one in figures))
    for bay in HOMES:
        await story.agree(play, asked(bay).fsr_id, scene.proofs[asked(bay).fsr_id])


async def _ask(scene: Scene, bay: cast.Bay) -> dict[str, str]:
    await scene.issue(asked(bay))
    return await story.check(scene.play, asked(bay).fsr_id, (bay,))


async def _turn_down(scene: Scene, parts: dict[str, dict[str, str]]) -> None:
    """Two homes are checked, do not pass, and are turned down; nobody can accept them all the same."""
    for bay, failure in (
        (BAYS[10], "AUTHORIZATION check/discharge-not-allowed"),
        (BAYS[11], "CAPABILITY check/below-reserve"),
    ):
        one = asked(bay)
        scene.figure(f"{bay.name} fails", failure, scene.failed(one.fsr_id)[bay.name])
        await scene.refusal(
            f"{bay.name} is accepted all the same",
            "rules/check-not-passed",
            scene.answer(one, parts[bay.name], {bay.name: 11_000}),
        )
        rejected = RequestAnswered(fsr_id=one.fsr_id, answer=Answer.REJECTED, reason=RejectReason.NO_CREDENTIAL)
        await scene.play.post(cast.CSO, f"/v1/requests/{one.fsr_id}/response", rejected, f"fsr/{one.fsr_id}")


async def _prove(scene: Scene, bay: cast.Bay) -> dict[str, int]:
    await scene.finish(asked(bay), started=1)
    figures: dict[str, int] = scene.group(asked(bay).fsr_id)["figures"]
    return figures


def _breaches(figures: dict[str, Any]) -> int:
    return int(figures["over_budget"] + figures["below_reserve"] + figures["soc_unknown"])


SCENARIO: Final = Scenario(
    name="vehicle-to-home",
    title="V2H with a dynamic price",
    place=PLACE,
    demands={bay.name: (DemandStep(from_ms=cast.at(17, 45), power_w=CHARGE_W),) for bay in BAYS},
    acts=acts,
)
