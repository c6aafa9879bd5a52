"""`flexledger simulate`: a fleet of charging stations, against any OCPP 2.1 server or alone on a virtual clock."""

import asyncio
import contextlib
import os
import signal
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from api.cli.failures import told
from api.cli.files import read_file
from api.client.tls import client_context
from api.errors import ApiError
from api.execution.errors import FleetRefused, NobodyLetIn
from api.execution.simulator import frequency as grid
from api.execution.simulator import scenario as scenarios
from api.execution.simulator.evse import EvseConfig, Kind
from api.execution.simulator.fleet import Fleet, build_plant
from api.execution.simulator.frequency import Frequency, Wandering
from api.execution.simulator.plant import Plant
from api.execution.simulator.playing import Playing
from api.execution.simulator.protocol import RootSigner
from api.execution.simulator.scenario import Scenario
from api.execution.simulator.station import BackOff
from ledger.clock import SystemClock
from ledger.errors import LedgerError

MAX_STATIONS: Final = 5_000
MAX_KEY_BYTES: Final = 16 * 1024
MAX_CERTIFICATES_BYTES: Final = 64 * 1024
EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where the virtual clock begins."""
DEFAULT_FOR_S: Final = 3600
TURN_S: Final = 1.0
STATUS_EVERY_S: Final = 10.0
BACK_OFF: Final = BackOff(minimum_ms=2_000, random_ms=8_000)
NOISE_W: Final = 20
MIN_AC_W: Final = 4_140
CERTIFICATE, KEY, METER_KEY = "tls_client.crt.pem", "tls_client.key.pem", "signing.key.pem"
SIGNING = "signing.crt.pem"
MODELS: Final = (
    EvseConfig(evse_id=1, kind=Kind.DC, max_discharge_w=22_000, noise_w=NOISE_W),
    EvseConfig(evse_id=1, max_charge_w=11_000, max_discharge_w=11_000, noise_w=NOISE_W),
    EvseConfig(evse_id=1, min_charge_w=MIN_AC_W, noise_w=NOISE_W),
)
"""A DC unit both ways, an AC one both ways, and an AC one that only charges; stations take turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line."""

    url: str | None
    stations: int
    seed: int
    faults: Path | None
    trace: Path | None
    ca: Path | None
    credentials: Path | None
    password_file: Path | None
    for_s: int | None
    report_s: int
    out: Path | None
    compress: bool


def run(order: Order) -> int:
    """Exit code 0 when the time is over or a signal came, 1 if no station ever was let in, 2 if nothing was started."""
    try:
        scenario = Scenario() if order.faults is None else _scenario(order.faults)
        if order.url is None:
            return _alone(order, scenario)
        return asyncio.run(_driven(order, order.url, scenario))
    except (ApiError, LedgerError, OSError) as error:
        typer.echo(f"nothing was started: {told(error)}", err=True)
        return 2


def _scenario(path: Path) -> Scenario:
    return scenarios.parse(read_file(path, scenarios.MAX_SCENARIO_BYTES))


# Without a server


def _alone(order: Order, scenario: Scenario) -> int:
    """Lines of JSON to `--out` or the standard output; nothing of this machine or moment is in them."""
    if order.ca or order.credentials or order.password_file:
        raise FleetRefused("credentials are for a server", expected="an address of one")
    plants = _plants(order, scenario, _names(order), EPOCH_MS)
    playing = Playing(plants, scenario.setpoint, start_ms=EPOCH_MS)
    found = asyncio.run(playing.lines(order.for_s or DEFAULT_FOR_S))
    if order.out is None:
        for one in found:
            typer.echo(one, nl=False)
        return 0
    with os.fdopen(os.open(order.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.writelines(found)
    return 0


# Against a server


async def _driven(order: Order, url: str, scenario: Scenario) -> int:
    if scenario.setpoint:
        raise FleetRefused("setpoints come from the server", expected="no [[setpoint]] beside an address")
    if order.out is not None:
        raise FleetRefused("what a server is told is the server's to record", expected="no --out beside an address")
    names = _names(order)
    clock = SystemClock()
    fleet = Fleet(
        _plants(order, scenario, names, clock.now_ms()),
        url,
        ssl_of=_contexts(order, url),
        password=None if order.password_file is None else read_file(order.password_file, 1024).decode().strip(),
        back_off=BACK_OFF,
        compression="deflate" if order.compress else None,
        signer_of=lambda name: _signer(order.credentials, name),
    )
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- this is a coroutine's
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    ever = 0
    try:
        await fleet.connect(patient=True)
        ever = await _live(fleet, clock.now_ms, order.for_s)
    except asyncio.CancelledError:
        ever = max(ever, sum(station.online for station in fleet.stations.values()))
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(fleet.close(), 10)
    if ever == 0:
        reasons = sorted({text for station in fleet.stations.values() for text in station.refusals})
        for text in islice(reasons, 5):
            typer.echo(text, err=True)
        typer.echo(told(NobodyLetIn("no station was let in", expected="at least one", found=0)), err=True)
    return 0 if ever else 1


async def _live(fleet: Fleet, now_ms: Callable[[], int], for_s: int | None) -> int:
    """The fleet lives on until the time is over; how many stations were connected at best."""
    started = shown = time.monotonic()
    best = sum(station.online for station in fleet.stations.values())
    _status(fleet, 0.0)
    while for_s is None or time.monotonic() - started < for_s:
        turn = time.monotonic()
        with contextlib.suppress(TimeoutError):
            await fleet.advance_to(now_ms())
        best = max(best, sum(station.online for station in fleet.stations.values()))
        if turn - shown >= STATUS_EVERY_S:
            _status(fleet, time.monotonic() - turn)
            shown = turn
        await asyncio.sleep(max(0.0, TURN_S - (time.monotonic() - turn)))
    _status(fleet, 0.0)
    return best


def _status(fleet: Fleet, turn_s: float) -> None:
    stations = fleet.stations.values()
    online = sum(station.online for station in stations)
    evses = [evse for station in stations for evse in station.plant.evses.values()]
    in_service = sum(evse.service is not None for evse in evses)
    power_w = sum(evse.power_w for evse in evses)
    refused = sum(len(station.refusals) for station in stations)
    typer.echo(
        f"{online} of {len(fleet.stations)} stations connected, {in_service} in a service, {power_w} W, "
        f"{refused} refusals, last turn {turn_s * 1000:.0f} ms",
        err=True,
    )


# Laying out


def _names(order: Order) -> list[str]:
    if not 1 <= order.stations <= MAX_STATIONS:
        raise FleetRefused("number of stations", expected=f"1..{MAX_STATIONS}", found=order.stations)
    if order.credentials is None:
        return [f"CS-{number:04d}" for number in range(1, order.stations + 1)]
    if not order.credentials.is_dir():
        raise FleetRefused("not a folder of credentials", found=order.credentials.name)
    found = sorted(place.name for place in order.credentials.iterdir() if (place / CERTIFICATE).is_file())
    if len(found) < order.stations:
        raise FleetRefused(
            "too few credentials", expected=f"{order.stations} folders with {CERTIFICATE}", found=len(found)
        )
    return found[: order.stations]


def _plants(order: Order, scenario: Scenario, names: Sequence[str], start_ms: int) -> list[Plant]:
    faults = scenarios.faults_of(scenario, names, start_ms)
    grid_frequency = _frequency(order, scenario, start_ms)
    return [
        build_plant(
            name,
            (MODELS[place % len(MODELS)],),
            seed=order.seed + place,
            start_ms=start_ms,
            frequency=grid_frequency,
            meter_keys=_meter_keys(order.credentials, name),
            faults=faults[name],
            report_ms=order.report_s * 1000,
        )
        for place, name in enumerate(names)
    ]


def _frequency(order: Order, scenario: Scenario, start_ms: int) -> Frequency:
    losses = scenarios.losses_of(scenario, start_ms)
    if order.trace is None:
        return Wandering(seed=order.seed, start_ms=start_ms, events=losses)
    if losses:
        raise FleetRefused("a trace has its own events", expected="no [[loss]] beside a trace")
    if order.trace.suffix == ".json":
        return grid.from_schedule(read_file(order.trace, grid.MAX_TRACE_BYTES), start_ms)
    return grid.from_csv(order.trace, start_ms)


def _signer(credentials: Path | None, name: str) -> RootSigner | None:
    """What the station signs the roots of its logs with, where its signing credential is there."""
    keys = _meter_keys(credentials, name)
    path = None if credentials is None else credentials / name / SIGNING
    if keys is None or path is None or not path.is_file() or not isinstance(keys[1].curve, ec.SECP256R1):
        return None
    try:
        certificate = load_pem_x509_certificates(read_file(path, MAX_CERTIFICATES_BYTES))[0]
    except ValueError as error:
        raise FleetRefused("a signing certificate cannot be read", found=name) from error
    return RootSigner(keys[1], certificate.public_bytes(Encoding.DER))


def _meter_keys(credentials: Path | None, name: str) -> dict[int, ec.EllipticCurvePrivateKey] | None:
    """The key that the station's certificate binds to its meter, where it is there; else one from the seed."""
    path = None if credentials is None else credentials / name / METER_KEY
    if path is None or not path.is_file():
        return None
    try:
        key = load_pem_private_key(read_file(path, MAX_KEY_BYTES), None)
    except (ValueError, TypeError) as error:
        raise FleetRefused("a meter's key cannot be read", found=name) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise FleetRefused("a meter's key is of another kind", expected="an elliptic curve", found=name)
    return {1: key}


def _contexts(order: Order, url: str) -> Callable[[str], ssl.SSLContext | None] | None:
    scheme = urlsplit(url).scheme
    if scheme not in ("ws", "wss"):
        raise FleetRefused("not a server's address", expected="wss://host:port/path or ws://...", found=scheme[:20])
    if scheme == "ws":
        if order.ca or order.credentials:
            raise FleetRefused("certificates need TLS", expected="wss://", found="ws://")
        return None
    ca, credentials = order.ca, order.credentials
    if ca is None:
        raise FleetRefused("nothing says whom to trust", expected="--ca FILE")

    def context(station_id: str) -> ssl.SSLContext:
        place = None if credentials is None else credentials / station_id
        try:
            found = client_context(ca) if place is None else client_context(ca, place / CERTIFICATE, place / KEY)
        except (ssl.SSLError, OSError) as error:
            raise FleetRefused("a credential cannot be used", found=station_id) from error
        # A server of others may have 1.2 only, which OCPP admits; it is the server that has to insist.
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        return found

    return context
