"""`flexledger demo --tamper`: a database administrator edits one row of a real log, and is named."""

import asyncio
import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from cryptography.hazmat.primitives.serialization import Encoding

from api import engines, telemetry
from api.cli import audit, failures, init
from api.errors import ApiError
from api.flows.service import open_service
from api.settings import load
from api.verification.bundle_policy import Policy
from api.verification.report import Report, Status
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.records import jws
from ledger.records.log import StreamClosed
from ledger.records.sites import CurrentKind, Evse, Meter, SiteConfigured
from ledger.tlog import hashing
from pki import ceremony
from pki.ceremony import Ceremony, CeremonySpec, PartySpec
from pki.errors import PkiError
from pki.roles import Role

PARTY: Final = "FI-NGC"
ORIGIN: Final = "ledger.example/tamper"
SITE: Final = "depot-7"
VERSIONS: Final = 20
TOUCHED_VERSION: Final = 8
LIMIT_W: Final = 160_000
FALSE_LIMIT_W: Final = 400_000


def run() -> int:
    """Exit code 0 if the log was clean before, and the audit named the very row in each act."""
    try:
        with tempfile.TemporaryDirectory(prefix="flexledger-tamper-") as folder:
            return 0 if _played(Path(folder) / "svc") else 1
    except (ApiError, LedgerError, PkiError, OSError, sqlite3.Error) as error:
        typer.echo(f"the demonstration broke: {failures.told(error)}", err=True)
        return 1


def _played(folder: Path) -> bool:
    policy = asyncio.run(_written(folder))
    before = audit.audit(folder, policy)
    typer.echo(f"A log, written by the service and signed by its key.\n\nflexledger audit: {before.summary()}\n")
    database = folder / "data" / "ledger.db"
    index, data = _row(database)
    false = _edited(data)
    typer.secho("The database administrator opens ledger.db with sqlite3 and edits one row:", bold=True)
    typer.echo(f"  entry {index}, column data: {SITE}, version {TOUCHED_VERSION}")
    typer.echo(f"  the grid connection of {LIMIT_W} W becomes one of {FALSE_LIMIT_W} W\n")
    with _as_owner(database) as db:
        db.execute("UPDATE entry SET data = ? WHERE idx = ?", (false, index))
    named = _shown(audit.audit(folder, policy), index)
    typer.secho("\nHe knows of the hash in the row beside it, and makes that fit as well:", bold=True)
    typer.echo(f"  entry {index}, column leaf\n")
    with _as_owner(database) as db:
        db.execute("UPDATE entry SET leaf = ? WHERE idx = ?", (hashing.leaf(false), index))
    again = _shown(audit.audit(folder, policy), index)
    typer.echo(
        "\nWhatever else he makes fit, he cannot sign: the statement is under its author's key, the tree\n"
        "under the log's, and whoever kept a checkpoint has the root."
    )
    return before.exit_code == 0 and named and again


async def _written(folder: Path) -> Policy:
    """A service is laid out and writes its log; whom to trust about it is what an auditor would bring."""
    # What a service logs is not among what is shown here.
    telemetry.configure(level=logging.ERROR)
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(_spec(), tls_now_ms=now_ms, signing_now_ms=now_ms)
    settings = load(init.lay_out(folder, made, party=PARTY, origin=ORIGIN), {})
    async with open_service(settings, engines.open_engines(settings, create=True), None) as service:
        for version in range(1, VERSIONS + 1):
            await service.desk.say(_site(version), f"site/{SITE}")
            if version % 5 == 0:
                await service.publisher.publish()
        await service.desk.say(StreamClosed(closed=f"site/{SITE}", n=VERSIONS), f"site/{SITE}")
        vkey = service.engines.log_keys.vkeys()[-1]
    return Policy(vkey=vkey, roots=(_root(made),), development=True)


def _spec() -> CeremonySpec:
    operator = PartySpec(id=PARTY, role=Role.CSO, organisation="Northgate Charging Oy", dns_names=("localhost",))
    return CeremonySpec(organisation="flexledger demonstration", development=True, parties=(operator,))


def _root(made: Ceremony) -> str:
    return made.anchors.certificates[0].public_bytes(Encoding.PEM).decode()


def _site(version: int) -> SiteConfigured:
    meter = Meter(
        serial="M-1",
        key_spki_sha256="1" * 64,
        accuracy_ppm=10_000,
        resolution_milliwh=1_000,
        sample_period_ms=1_000,
    )
    evse = Evse(
        evse_id="FI*NGC*E1",
        station_id="CS-1",
        connector=1,
        kind=CurrentKind.DC,
        max_charge_w=50_000,
        max_discharge_w=0,
        services=("CONGESTION",),
        response_time_ms=1_000,
        meter=meter,
        key_spki_sha256="2" * 64,
        firmware_sha256="3" * 64,
    )
    return SiteConfigured(
        site_id=SITE,
        version=version,
        import_limit_w=LIMIT_W,
        export_limit_w=0,
        congestion_point="CP-1",
        region="FI",
        evses=(evse,),
    )


def _row(database: Path) -> tuple[int, bytes]:
    """The row that is going to be edited."""
    with closing(sqlite3.connect(database)) as db:
        for index, data in db.execute("SELECT idx, data FROM entry ORDER BY idx"):
            entry = msgspec.json.decode(data)
            if entry["type"] == SiteConfigured.TYPE and entry["seq"] == TOUCHED_VERSION:
                return index, data
    raise LedgerError("the demonstration's entry is not there")


def _edited(data: bytes) -> bytes:
    """The entry with another limit in its statement, as somebody who knows the format would write it."""
    entry: dict[str, Any] = msgspec.json.decode(data)
    header, payload, signature = entry["stmt"].split(".")
    said = jws.decode_base64url(payload).replace(f":{LIMIT_W},".encode(), f":{FALSE_LIMIT_W},".encode())
    entry["stmt"] = ".".join((header, jws.encode_base64url(said), signature))
    return msgspec.json.encode(entry, order="sorted")


@contextmanager
def _as_owner(database: Path) -> Iterator[sqlite3.Connection]:
    """The database as its owner may write it: our triggers are dropped first, which anybody with the file can do."""
    with closing(sqlite3.connect(database)) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        yield db


def _shown(report: Report, index: int) -> bool:
    """Whether the row itself is named, after the report was printed."""
    refuted = report.of(Status.REFUTED)
    typer.echo(f"flexledger audit: {report.summary()}")
    for line in refuted:
        typer.echo(f"  {line.code:<28} {line.detail.partition(';')[0]}  [{line.place}]")
    named = {line.where.get("previous_index", line.where.get("index")) for line in refuted}
    is_named = index in named
    typer.secho(f"  named: entry {index}" if is_named else f"  NOT NAMED: entry {index}", bold=True)
    return is_named
