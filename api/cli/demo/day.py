"""`flexledger demo`: the day, played through a real service on a virtual clock, then attacked, audited, erased."""

import asyncio
import dataclasses
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import failures
from api.cli.demo import attacks, cast, closing, history, office, props, story
from api.cli.demo.report import Report
from api.cli.demo.stage import StageBroken, StageClock, claim, interruptible, opened
from api.cli.demo.story import Play
from api.errors import ApiError
from api.execution.simulator.demand import Demand, DemandStep, ScriptedDemand, shared
from api.execution.simulator.fleet import E4_FAILING
from api.execution.simulator.frequency import EventDay, LossEvent
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.records.contracts import BaselineMethod
from ledger.records.opt import OptReason
from ledger.records.requests import Answer
from pki import ceremony
from pki.errors import PkiError

FSR_A: Final = "fsr-a-congestion"
FSR_B: Final = "fsr-b-mandatory"
FSR_C: Final = "fsr-c-ffr"
FSR_D: Final = "fsr-d-droop"
FSR_E: Final = "fsr-e-ffr-weak"
FIRST_EVENT_MS: Final = cast.at(19, 12, 7)
SECOND_EVENT_MS: Final = cast.at(20, 25, 0)
SEED: Final = 63382


def run(out: Path | None, *, keep: bool) -> int:
    """Exit code 0 only if everything held, 2 if nothing can be left in `out`; then nothing was played."""
    if out is not None:
        try:
            claim(out)
        except (ApiError, OSError) as error:
            typer.echo(f"nothing was played: {failures.told(error)}", err=True)
            return 2
    work = Path(tempfile.mkdtemp(prefix="flexledger-demo-"))
    report = Report()
    started = time.monotonic()
    try:
        with interruptible():
            asyncio.run(_play(work, out, report))
    except (StageBroken, ApiError, LedgerError, PkiError, AssertionError) as error:
        typer.echo(f"\nthe day broke: {failures.told(error)}", err=True)
        with suppress(OSError):
            typer.echo((work / "server.log").read_text(errors="replace")[-3000:], err=True)
        return 1
    finally:
        if keep:
            typer.echo(f"the service's own files are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    report.print(time.monotonic() - started, out)
    return 0 if report.holds else 1


async def _play(folder: Path, out: Path | None, report: Report) -> None:
    real_ms = SystemClock().now_ms()
    made = ceremony.perform(cast.ceremony(), tls_now_ms=real_ms, signing_now_ms=cast.SIGNING_START_MS)
    clock = StageClock(folder / "clock", cast.at(8, 30))
    frequency = EventDay([LossEvent(at_ms=FIRST_EVENT_MS), LossEvent(at_ms=SECOND_EVENT_MS)], seed=SEED)
    report.scene("the stage", "authorities, credentials, one server process, clients, 8 stations over WebSocket/TLS")
    async with opened(
        folder, clock=clock, made=made, frequency=frequency, demands=demands(), system_clock=SystemClock()
    ) as stage:
        await stage.fleet.connect()
        play = Play(stage, report.line)
        await _day(play, report)
        await attacks.run(play, report)
        await closing.run(play, report, out or folder / "out")


async def _day(play: Play, report: Report) -> None:
    report.scene("09:00", "the depot opens")
    await story.open_the_day(play)
    report.scene("11:00", "a newcomer enrols with a code, over EST")
    await play.goto(cast.at(11))
    await office.newcomer(play, report)
    report.scene("14:00", "who holds a contract at the depot?")
    await story.look_for_holders(play)
    proofs = {FSR_A: await congestion(play, report)}
    proofs[FSR_B] = await mandatory(play, report)
    proofs[FSR_C], proofs[FSR_D], proofs[FSR_E] = await evening(play, report)
    await next_day(play, report, proofs)


def demands() -> dict[str, Demand]:
    """What each car wants: FSR-A's group draws exactly what the story says, whatever it is told."""
    scripts: dict[str, list[DemandStep]] = {
        bay.name: [DemandStep(from_ms=cast.at(8), power_w=0), DemandStep(from_ms=cast.at(16, 30), power_w=7_000)]
        for bay in cast.BAYS
    }
    group = [bay.name for bay in cast.BAYS if bay.name != "E6"]
    for quarter, total_w in enumerate(history.ACTUAL_W):
        from_ms = cast.at(17) + quarter * props.QUARTER_MS
        for place, (name, power_w) in enumerate(zip(group, shared(total_w, len(group)), strict=True)):
            # Cars are not twins: seven offsets that sum to nothing.
            differing_w = power_w + 100 * (place - len(group) // 2)
            scripts[name].append(DemandStep(from_ms=from_ms, power_w=differing_w, overrides=True))
    for number, bay in enumerate(cast.BAYS):
        scripts[bay.name].append(DemandStep(from_ms=cast.at(18), power_w=7_500))
        scripts[bay.name].append(DemandStep(from_ms=cast.at(18, 30), power_w=4_060 + 10 * number))
    for bay in cast.DC_BAYS:
        scripts[bay.name].append(DemandStep(from_ms=cast.at(18, 50), power_w=10_000))
    for bay in cast.AC_V2G_BAYS:
        scripts[bay.name].append(DemandStep(from_ms=cast.at(18, 50), power_w=0))
    return {name: ScriptedDemand(steps) for name, steps in scripts.items()}


async def congestion(play: Play, report: Report) -> dict[str, Any]:
    """FSR-A: 40 kW less for an hour; one opts out in time, one too late."""
    report.scene("15:00", "FSR-A: Aurora asks for 40 kW less from 17:00 to 18:00")
    start, end = cast.at(17), cast.at(18)
    await play.goto(cast.at(15))
    await story.issue(
        play,
        props.request(
            FSR_A,
            props.congestion(start, (40_000,) * 4),
            fsc_ids=("fsc-site", "fsc-voltwise"),
            start_at_ms=start,
            end_at_ms=end,
            respond_by_ms=cast.at(15, 30),
            opt_deadline_ms=cast.at(16, 30),
            resolution_ms=60_000,
        ),
    )
    await play.goto(cast.at(15, 1))
    parts = await story.check(play, FSR_A, cast.BAYS)
    await play.goto(cast.at(15, 5))
    await story.opt_out(play, cast.BAYS[5], FSR_A, parts["E6"], OptReason.MOBILITY_NEED)
    play.say("E6's user opts out (needs the car at 17:40): relayed, under a random id, reason in the vault")
    await play.goto(cast.at(15, 10))
    names = [name for name in parts if name != "E6"]
    await story.answer(play, FSR_A, parts, story.even_offers(names, 40_000), Answer.PARTIAL)
    await play.goto(cast.at(15, 12))
    await story.commit_baseline(
        play, FSR_A, [parts[name] for name in names], BaselineMethod.HIGH_X_OF_Y, history.baseline_inputs()
    )
    await play.goto(cast.at(16, 31))
    late = await story.refused(story.opt_out(play, cast.BAYS[1], FSR_A, parts["E2"], OptReason.USER_PREFERENCE))
    report.expect("late opt-out of E2's user", late == "rules/opt-late", late)
    await play.drive(start)
    await story.run(play, FSR_A, start, end, started=7)
    await play.goto(cast.at(18, 5))
    proof = await story.prove(play, FSR_A)
    exact = (proof["verdict"], proof["score_ppm"], proof["delivered_wh"]) == ("DELIVERED", 925_000, 37_000)
    report.expect("FSR-A: 37.0 of 40.0 kWh, 925000 ppm, exactly", exact, f"{proof['delivered_wh']} Wh")
    return proof


async def mandatory(play: Play, report: Report) -> dict[str, Any]:
    """FSR-B: the grid operator's cap; opting out is refused and on record."""
    report.scene("18:29", "FSR-B: mandatory cap of 33.6 kW, on a signed directive of the grid operator")
    await play.drive(cast.at(18, 29))
    stage = play.stage
    start, end = cast.at(18, 30), cast.at(18, 45)
    now_ms = stage.clock.now_ms()

    def text(fsr_id: str, signer: str) -> Any:
        return props.request(
            fsr_id,
            props.limit(),
            fsc_ids=(),
            start_at_ms=start,
            end_at_ms=end,
            respond_by_ms=start,
            opt_deadline_ms=start,
            resolution_ms=1_000,
            mandate=props.mandate(stage.signing(signer), stage.party_id(signer), now_ms, end),
        )

    operator = stage.signing(cast.SO).certificate
    fo = stage.clients[cast.FO]
    fo.conversation.certificates = (operator.public_bytes(Encoding.DER),)
    await story.issue(play, text(FSR_B, cast.SO))
    fo.conversation.certificates = ()
    parts = await story.check(play, FSR_B, cast.BAYS)
    await play.goto(cast.at(18, 29, 20))
    out = await story.refused(story.opt_out(play, cast.BAYS[2], FSR_B, parts["E3"], OptReason.USER_PREFERENCE))
    report.expect("opt-out against a verified mandate", out == "rules/opt-mandatory", out)
    forged = await story.refused(story.issue(play, text("fsr-b-forged", cast.FO)))
    report.expect("mandate signed by the operator itself", forged == "rules/mandate-unproven", forged)
    await story.run(play, FSR_B, start, end, started=8, step_ms=60_000)
    await play.goto(cast.at(18, 46))
    proof = await story.prove(play, FSR_B)
    report.expect("FSR-B: kept whole", proof["verdict"] == "DELIVERED", proof["verdict"])
    return proof


async def evening(play: Play, report: Report) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """FSR-C and FSR-D side by side on different EVSEs; then FSR-E, where E4 is too slow."""
    report.scene("18:50", "FSR-C: fast frequency response on E1-E4; FSR-D: droop on E7 and E8")
    await play.drive(cast.at(18, 50))
    first = await arm(play, FSR_C, cast.at(19), cast.at(20))
    droops = await droop(play)
    await play.drive(cast.at(19))
    await story.run(play, FSR_C, cast.at(19), cast.at(20), started=len(first))
    await play.goto(cast.at(20, 1))
    delivered = await story.prove(play, FSR_C)
    report.expect("FSR-C: 60 kW within 1.0 s, held 30 s", delivered["verdict"] == "DELIVERED", delivered["verdict"])
    report.scene("20:05", "FSR-E: the same again, with E4 slower than its type allows")
    evse = play.stage.fleet.stations["CS-E4"].plant.evses[1]
    evse.config = dataclasses.replace(evse.config, response=E4_FAILING)
    await play.drive(cast.at(20, 5))
    weak = await arm(play, FSR_E, cast.at(20, 15), cast.at(20, 45))
    await play.drive(cast.at(20, 15))
    await story.run(play, FSR_E, cast.at(20, 15), cast.at(20, 45), started=len(weak))
    await play.goto(cast.at(20, 46))
    failed = await story.prove(play, FSR_E)
    report.expect("FSR-E: below 60 kW at 1.0 s", failed["verdict"] == "FAILED", failed["verdict"])
    await story.run(play, FSR_D, cast.at(19), cast.at(21), started=len(droops))
    await play.goto(cast.at(21, 1))
    followed = await story.prove(play, FSR_D)
    report.expect("FSR-D: within 5 % of the curve", followed["verdict"] == "DELIVERED", followed["verdict"])
    return delivered, followed, failed


async def arm(play: Play, fsr_id: str, start: int, end: int) -> dict[str, str]:
    """A fast response on E1-E4: asked for, checked, accepted with a margin of 6.7 %, baseline named."""
    now_ms = play.stage.clock.now_ms()
    await story.issue(
        play,
        props.request(
            fsr_id,
            props.fast_response(),
            fsc_ids=tuple(f"fsc-{bay.name.lower()}" for bay in cast.DC_BAYS),
            start_at_ms=start,
            end_at_ms=end,
            respond_by_ms=now_ms + 5 * cast.MINUTE_MS,
            opt_deadline_ms=now_ms + 5 * cast.MINUTE_MS,
            resolution_ms=100,
        ),
    )
    parts = await story.check(play, fsr_id, cast.DC_BAYS)
    await story.answer(play, fsr_id, parts, dict.fromkeys(parts, 16_000), Answer.ACCEPTED)
    await story.commit_baseline(play, fsr_id, list(parts.values()), BaselineMethod.PRE_EVENT)
    return parts


async def droop(play: Play) -> dict[str, str]:
    """A droop on E7 and E8: E7 with two claims, E8 with one for the matched pair."""
    now_ms = play.stage.clock.now_ms()
    await story.issue(
        play,
        props.request(
            FSR_D,
            props.droop(),
            fsc_ids=tuple(f"fsc-{bay.name.lower()}" for bay in cast.AC_V2G_BAYS),
            start_at_ms=cast.at(19),
            end_at_ms=cast.at(21),
            respond_by_ms=now_ms + 5 * cast.MINUTE_MS,
            opt_deadline_ms=now_ms + 5 * cast.MINUTE_MS,
            resolution_ms=1_000,
        ),
    )
    parts = await story.check(play, FSR_D, cast.AC_V2G_BAYS)
    await story.answer(play, FSR_D, parts, dict.fromkeys(parts, 11_000), Answer.ACCEPTED, down=True)
    await story.commit_baseline(play, FSR_D, list(parts.values()), BaselineMethod.CURVE)
    return parts


async def next_day(play: Play, report: Report, proofs: dict[str, dict[str, Any]]) -> None:
    """The operator agrees to four proofs and disputes one resource; the contract scores the group."""
    report.scene("next day", "Aurora agrees, disputes E4 in FSR-C, and settles FSR-A")
    await play.goto(cast.at(9, day=1))
    for fsr_id in (FSR_A, FSR_B, FSR_D, FSR_E):
        await story.agree(play, fsr_id, proofs[fsr_id])
    view = await play.ask(cast.CSO, f"/v1/requests/{FSR_C}")
    names = {one["participation"]: one["evse_id"] for one in play.checked[FSR_C]["participations"]}
    fourth = next(
        p["participation"] for p in view["participations"] if names[p["participation"]] == cast.BAYS[3].evse_id
    )
    await story.dispute(play, FSR_C, proofs[FSR_C], fourth)
    resolved = (await play.ask(cast.CSO, f"/v1/requests/{FSR_C}"))["status"]
    report.expect("the dispute over E4 ends: the contract scores the group", resolved == "RESOLVED", resolved)
    settled = await story.settle(play, FSR_A, proofs[FSR_A])
    report.expect("FSR-A settles at 9.75 EUR", settled.net_micro == 9_750_000, f"{settled.net_micro} micro")
