"""`flexledger dev`: a throw-away service on the real clock, with the demo's depot charging at it, until Ctrl-C.

`flexledger dev-request` (in `dev_request.py`) makes something happen there; it learns where from `dev.json`.
"""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import typer

from api.cli import failures
from api.cli.demo import cast, dev_request, props, story
from api.cli.demo.dev_request import RUNNING_FILE, Running
from api.cli.demo.stage import Stage, StageBroken, claim, credentials, opened
from api.cli.demo.story import Play
from api.errors import ApiError
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import ConstantDemand, Demand
from api.execution.simulator.frequency import Steady
from api.verification.bundle_policy import Policy, encode_policy
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.records.contracts import BaselineMethod, ContractKind
from ledger.records.services import Service
from pki import ceremony
from pki.errors import PkiError
from pki.roles import Purpose

FSC: Final = "fsc-dev"
EVSE_W: Final = 10_000
"""What each car draws when nobody asks for less."""
BATTERY_WH: Final = 2_000_000
"""No car is full within a day, so the depot's demand is what was nominated."""
DAY_MS: Final = 24 * cast.HOUR_MS
SESSION_MS: Final = 7 * DAY_MS
CONTRACT_MS: Final = 30 * DAY_MS
STEP_S: Final = 0.2
"""Stations live on this often. Samples are a second apart, so none is ever more than one behind."""


def run(directory: Path | None) -> int:
    """Exit code 0 when it was stopped, 1 when it broke, 2 when the directory cannot be used."""
    try:
        folder = directory or Path(tempfile.mkdtemp(prefix="flexledger-dev-"))
        claim(folder, 0o700)
        folder = folder.resolve()
    except (ApiError, OSError) as error:
        typer.echo(f"nothing was started: {failures.told(error)}", err=True)
        return 2
    try:
        asyncio.run(_live(folder))
    except (asyncio.CancelledError, KeyboardInterrupt):
        typer.echo("stopped" if directory is None else f"stopped; everything is left in {folder}")
        return 0
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"broke: {failures.told(error)}", err=True)
        return 1
    finally:
        # Whoever asks from here on is told that nothing runs.
        (folder / RUNNING_FILE).unlink(missing_ok=True)
        if directory is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def request(directory: Path, *, reduce_w: int, seconds: int) -> int:
    """Asks the depot of a running `flexledger dev` for flexibility; see `dev_request.run`."""
    return dev_request.run(directory, reduce_w=reduce_w, seconds=seconds)


async def _live(folder: Path) -> None:
    """Opens the stage and the depot, says what to try, and lives on until a signal cancels it."""
    _cancel_on_signals()
    clock = SystemClock()
    now_ms = clock.now_ms()
    spec = msgspec.structs.replace(cast.ceremony(), created_at_ms=now_ms)
    made = ceremony.perform(spec, tls_now_ms=now_ms, signing_now_ms=now_ms)
    demands: dict[str, Demand] = {bay.name: ConstantDemand(EVSE_W) for bay in cast.BAYS}
    async with opened(folder, clock=None, made=made, frequency=Steady(), demands=demands, system_clock=clock) as stage:
        for station in stage.fleet.stations.values():
            for evse in station.plant.evses.values():
                evse.battery = Battery(capacity_wh=BATTERY_WH)
        await stage.fleet.connect()
        await open_the_depot(Play(stage, lambda text: None))
        _leave(stage)
        for line in lines_to_paste(stage):
            typer.echo(line)
        while True:
            await _tick(stage)


def _cancel_on_signals() -> None:
    """The first Ctrl-C or SIGTERM cancels the running task, so that everything is closed; later ones change nothing."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- this is a coroutine's
    asked: list[bool] = []

    def once() -> None:
        if not asked:
            asked.append(True)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            asyncio.get_running_loop().add_signal_handler(number, once)


async def _tick(stage: Stage) -> None:
    """The stations have lived on to now; raises StageBroken when the service is gone."""
    if stage.server.process.poll() is not None:
        tail = (stage.folder / "server.log").read_text(errors="replace")[-2000:]
        raise StageBroken("the service ended by itself", found=tail)
    # A service under load answers late; the stations report what they could not in the next turn.
    with contextlib.suppress(TimeoutError):
        await stage.fleet.advance_to(stage.clock.now_ms())
    await asyncio.sleep(STEP_S)


async def open_the_depot(play: Play) -> None:
    """The site is declared, cars are plugged in, claims registered, and one contract signed by both sides."""
    stage = play.stage
    now_ms = stage.clock.now_ms()
    await play.post(cast.CSO, "/v1/sites", props.site(stage.made), f"site/{cast.SITE}")
    for bay in cast.BAYS:
        person = stage.party_id(bay.person)
        session = props.session(bay, person, stage.car_keys[bay.name], now_ms, now_ms + SESSION_MS)
        await play.post(
            cast.CSO,
            f"/v1/sites/{cast.SITE}/sessions",
            session,
            f"site/{cast.SITE}",
            subjects=lambda _opened, person=person: person,
        )
    await story.register_claims(play)
    # The depot draws the same all the time, so its schedule is all the baseline that is needed.
    terms = msgspec.structs.replace(
        cast.terms(Service.CONGESTION, EVSE_W * len(cast.BAYS)), baseline=BaselineMethod.NOMINATION
    )
    text = msgspec.structs.replace(
        props.contract(FSC, ContractKind.FO_CSO, (terms,), counterparty=cast.CSO),
        valid_from_ms=now_ms,
        valid_to_ms=now_ms + CONTRACT_MS,
    )
    await story.both_sign(play, text, cast.CSO)


def _leave(stage: Stage) -> None:
    """Writes what `dev-request` and verifiers need; `dev.json` comes last, complete, and says that all is ready."""
    root = (stage.folder / "service" / "pki" / "root.pem").read_text()
    policy = Policy(vkey=stage.server.vkey, roots=(root,), development=True)
    (stage.folder / "policy.json").write_bytes(encode_policy(policy))
    running = Running(
        origin=cast.ORIGIN,
        vkey=stage.server.vkey,
        port=stage.server.port,
        ops_port=stage.server.ops_port,
        fsc_id=FSC,
        evse_w=EVSE_W,
        persons={bay.evse_id: stage.party_id(bay.person) for bay in cast.BAYS},
    )
    beside = stage.folder / f"{RUNNING_FILE}.part"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(running)))
    beside.rename(stage.folder / RUNNING_FILE)


def lines_to_paste(stage: Stage) -> Iterator[str]:
    """What to try, in lines that work as they stand."""
    folder, server = stage.folder, stage.server
    anyone = f"curl --cacert {folder / 'service' / 'pki' / 'root.pem'}"
    certificate, key = credentials(folder, "parties", cast.FO, Purpose.TLS_CLIENT)
    url = f"https://localhost:{server.port}"
    command = dev_request.command()
    total_kw = EVSE_W * len(cast.BAYS) // 1000
    yield f"The service is at {url}; {len(cast.BAYS)} simulated stations draw {total_kw} kW. Everything is in {folder}"
    yield ""
    yield "Ask it, as anyone and as the flexibility operator:"
    yield f"  {anyone} {url}/livez"
    yield f"  {anyone} {url}/checkpoint"
    yield f"  {anyone} --cert {certificate} --key {key} {url}/v1/requests"
    yield f"  curl http://127.0.0.1:{server.ops_port}/metrics"
    yield "Make something happen (in another terminal), and check it:"
    yield f"  {command} dev-request {folder}"
    yield f"  {command} audit {folder / 'service' / 'data'} --policy {folder / 'policy.json'}"
    yield ""
    yield "Ctrl-C stops it."
