"""`flexledger scenario`: plays one of the applications that the standard's abstract names, or all of them."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import typer

from api.cli import failures
from api.cli.demo.report import Report
from api.cli.demo.stage import StageBroken, interruptible
from api.cli.scenarios import (
    distribution_congestion,
    energy_community,
    ev_fleet,
    fast_frequency_response,
    mobile_app,
    onboard_inverter,
    scene,
    service_station,
    tertiary_reserve,
    vehicle_to_home,
    voltage_support,
)
from api.cli.scenarios.scene import Scenario
from api.errors import ApiError
from ledger.errors import LedgerError
from pki.errors import PkiError

SCENARIOS: Final[Mapping[str, Scenario]] = {
    one.name: one
    for one in (
        service_station.SCENARIO,
        energy_community.SCENARIO,
        fast_frequency_response.SCENARIO,
        ev_fleet.SCENARIO,
        onboard_inverter.SCENARIO,
        mobile_app.SCENARIO,
        vehicle_to_home.SCENARIO,
        tertiary_reserve.SCENARIO,
        distribution_congestion.SCENARIO,
        voltage_support.SCENARIO,
    )
}


def run(names: list[str], *, json: bool) -> int:
    """Exit code 0 only if everything held, 1 if something did not, 2 for an unknown name. Without names: the list."""
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        error = failures.InputUnfit("no such scenario", expected=", ".join(SCENARIOS), found=unknown[0])
        failures.say("nothing was played", error, json=json)
        return 2
    if not names:
        titles = {one.name: one.title for one in SCENARIOS.values()}
        listed = "\n".join(f"{name:<32} {title}" for name, title in titles.items())
        typer.echo(msgspec.json.encode(titles).decode() if json else listed)
        return 0
    reports = {name: _play(SCENARIOS[name], Report(is_shown=not json)) for name in names}
    if json:
        typer.echo(msgspec.json.encode({name: report.document() for name, report in reports.items()}))
    return 0 if all(report.holds for report in reports.values()) else 1


def _play(scenario: Scenario, report: Report) -> Report:
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="flexledger-scenario-"))
    try:
        with interruptible():
            asyncio.run(scene.perform(scenario, folder, report))
    except (StageBroken, ApiError, LedgerError, PkiError, AssertionError) as error:
        report.expect(f"{scenario.name} is played to its end", False, f"{getattr(error, 'code', '')} {error}")
        with suppress(OSError):
            typer.echo((folder / "server.log").read_text(errors="replace")[-3000:], err=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.print(time.monotonic() - started, None)
    return report
