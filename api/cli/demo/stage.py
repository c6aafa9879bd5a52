"""The stage: one real server process, one client a party with keys of its own, stations over WebSocket/TLS."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from api.cli import init
from api.cli.demo import cast
from api.client.checkpoints import Checkpoints, MemoryCheckpoints
from api.client.client import AsyncClient
from api.client.http import AsyncTransport
from api.client.signer import StatementSigner
from api.client.tls import client_context
from api.errors import Broken
from api.execution.simulator.demand import ConstantDemand, Demand
from api.execution.simulator.fleet import Fleet, build_plant
from api.execution.simulator.frequency import Frequency
from api.execution.simulator.inverter import House
from api.execution.simulator.protocol import RootSigner
from ledger.clock import Clock
from ledger.tlog import note
from pki import keys
from pki.ceremony import Ceremony, IssuedKey
from pki.roles import Purpose

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
WAIT_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.05
SEED: Final = 63382


class StageBroken(Broken):
    """The demo's own machinery failed: the server did not start, or something awaited did not come."""

    code = "api/demo-broken"
    title = "The demo could not go on"


class StageClock:
    """The day's clock: a file that the service reads and only the demo moves, forward."""

    def __init__(self, path: Path, now_ms: int) -> None:
        self.path = path
        self._now_ms = now_ms
        self.set_ms(now_ms)

    def now_ms(self) -> int:
        """The time of the day."""
        return self._now_ms

    def set_ms(self, now_ms: int) -> None:
        """From now on it is `now_ms`, for the service too."""
        self._now_ms = max(now_ms, self._now_ms)
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(str(self._now_ms), "ascii")
        beside.rename(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The running service."""

    process: subprocess.Popen[bytes]
    port: int
    ops_port: int
    ocpp_port: int
    vkey: str
    config: Path


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that a scene needs."""

    folder: Path
    made: Ceremony
    clock: Clock
    server: Server
    clients: dict[str, AsyncClient]
    fleet: Fleet
    car_keys: dict[str, ec.EllipticCurvePrivateKey]
    place: cast.Place = cast.DEPOT_7

    def party_id(self, name: str) -> str:
        """The id in a party's certificates; for a person the random pseudonym."""
        return self.made.parties[name].party_id

    def signing(self, name: str) -> IssuedKey:
        """A party's statement key and certificate."""
        return self.made.parties[name].credentials[Purpose.SIGNING]

    async def close_service(self) -> None:
        """Nobody is connected and the service has ended, in order; its files lie as they are."""
        await self.fleet.close()
        for client in self.clients.values():
            await client.close()
        stop(self.server.process)

    async def reopen_service(self) -> None:
        """The service runs again over whatever lies there now, and parties are connected; stations are not."""
        self.server = await start(self.server.config, self.folder)
        self.clients = connect_clients(self.folder, self.made, self.server, self.clock)

    async def until(self, what: str, ready: Callable[[], Awaitable[bool]]) -> None:
        """Waits until `ready` says so; raises `StageBroken` after a minute."""
        give_up = time.monotonic() + WAIT_TIMEOUT_S
        while not await ready():
            if time.monotonic() > give_up:
                raise StageBroken("waited in vain", expected=what)
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def opened(
    folder: Path,
    *,
    clock: StageClock | None,
    made: Ceremony,
    frequency: Frequency,
    demands: dict[str, Demand],
    system_clock: Clock,
    place: cast.Place = cast.DEPOT_7,
) -> AsyncIterator[Stage]:
    """A stage in `folder`: the service laid out and running, clients and stations connected."""
    config = init.lay_out(
        folder / "service",
        made,
        party=cast.CSO,
        origin=cast.ORIGIN,
        clock_file=clock.path if clock else None,
        port=0,
        ocpp_port=0,
        ops_port=0,
    )
    server = await start(config, folder)
    # The system chose the port, and the parties' files were written before.
    init.party_files(folder / "service", made, f"https://localhost:{server.port}", cast.ORIGIN)
    clients: dict[str, AsyncClient] = {}
    stage: Stage | None = None
    now: Clock = clock or system_clock
    try:
        clients = connect_clients(folder, made, server, now)
        car_keys = {bay.name: keys.generate() for bay in place.bays}
        stage = Stage(
            folder=folder,
            made=made,
            clock=now,
            server=server,
            clients=clients,
            fleet=build_fleet(folder, made, server, frequency, demands, now.now_ms(), place),
            car_keys=car_keys,
            place=place,
        )
        yield stage
    finally:
        if stage is not None:
            with contextlib.suppress(OSError):
                await stage.fleet.close()
        for client in (clients if stage is None else stage.clients).values():
            await client.close()
        stop((server if stage is None else stage.server).process)


async def start(config: Path, folder: Path) -> Server:
    """The service as a process of its own; its log goes to `server.log`."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 -- starting a process does not wait for it
            [sys.executable, "-m", "api", "serve", str(config), "--ready-file", str(ready)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        await _until_ready(process, ready, folder)
    except BaseException:
        # Whoever is interrupted here, by Ctrl-C for one, leaves no server behind.
        stop(process)
        raise
    where: dict[str, Any] = json.loads(ready.read_text())
    return Server(
        process=process,
        port=where["port"],
        ops_port=where["ops_port"],
        ocpp_port=where["ocpp_port"],
        vkey=where["vkey"],
        config=config,
    )


async def _until_ready(process: subprocess.Popen[bytes], ready: Path, folder: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while not ready.exists():  # noqa: ASYNC240 -- a look at a local file
        if process.poll() is not None or time.monotonic() > give_up:
            tail = (folder / "server.log").read_text(errors="replace")[-2000:]
            raise StageBroken("the service did not start", found=tail)
        await asyncio.sleep(POLL_S)


def claim(folder: Path, mode: int = 0o777) -> None:
    """The folder is there, empty and writable, before anything is played; raises `TargetTaken` or OSError."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise init.TargetTaken("the directory is not empty", found=folder.name)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt at once, and not when the event loop gets a turn: verifying takes seconds."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for who does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def credentials(folder: Path, kind: str, name: str, purpose: Purpose) -> tuple[Path, Path]:
    """The certificate and key files of a party or a station."""
    place = folder / "service" / "credentials" / kind / name
    return place / f"{purpose.lower()}.crt.pem", place / f"{purpose.lower()}.key.pem"


def connect_clients(folder: Path, made: Ceremony, server: Server, clock: Clock) -> dict[str, AsyncClient]:
    """One client a party that connects, with its own TLS certificate, statement key and memory of checkpoints."""
    verifier = note.parse_vkey(server.vkey)
    clients = {}
    for name, minted in made.parties.items():
        if Purpose.TLS_CLIENT not in minted.credentials:
            continue
        certificate, key = credentials(folder, "parties", name, Purpose.TLS_CLIENT)
        signer = None
        if Purpose.SIGNING in minted.credentials:
            signing_certificate, signing_key = credentials(folder, "parties", name, Purpose.SIGNING)
            signer = StatementSigner.load(
                party=minted.party_id, key=signing_key, certificate=signing_certificate, audience=cast.ORIGIN
            )
        # A person's words are relayed: the entry is the port's, so its receipt is not for the words that were sent.
        is_person = name.startswith("EVU-")
        clients[name] = AsyncClient(
            AsyncTransport(
                f"https://localhost:{server.port}",
                ca=folder / "service" / "pki" / "root.pem",
                cert=certificate,
                key=key,
            ),
            signer=signer,
            checkpoints=None if is_person else Checkpoints(cast.ORIGIN, [verifier], MemoryCheckpoints()),
            clock=clock,
        )
    return clients


def build_fleet(
    folder: Path,
    made: Ceremony,
    server: Server,
    frequency: Frequency,
    demands: dict[str, Demand],
    start_ms: int,
    place: cast.Place = cast.DEPOT_7,
) -> Fleet:
    """One simulated station an EVSE; its meter signs with the key that the station's certificate binds."""
    plants = [
        build_plant(
            bay.station_id,
            (replace(bay.config, evse_id=1, noise_w=place.noise_w),),
            seed=SEED,
            start_ms=start_ms,
            frequency=frequency,
            demands={1: demands[bay.name]},
            meter_keys={1: made.stations[bay.station_id].credentials[Purpose.SIGNING].key},
            charge_points={1: bay.evse_id},
            houses=_house(place, bay),
            voltage=place.voltage,
        )
        for bay in place.bays
    ]

    def context(station_id: str) -> Any:
        certificate, key = credentials(folder, "stations", station_id, Purpose.TLS_CLIENT)
        return client_context(folder / "service" / "pki" / "root.pem", certificate, key)

    def signer(station_id: str) -> RootSigner:
        issued = made.stations[station_id].credentials[Purpose.SIGNING]
        return RootSigner(issued.key, issued.chain[0])

    return Fleet(plants, f"wss://localhost:{server.ocpp_port}/ocpp", ssl_of=context, signer_of=signer)


def _house(place: cast.Place, bay: cast.Bay) -> dict[int, House] | None:
    """The building behind the EVSE's own grid connection, where there is one."""
    draws_w = place.houses_w.get(bay.name)
    return None if draws_w is None else {1: House(ConstantDemand(draws_w))}
