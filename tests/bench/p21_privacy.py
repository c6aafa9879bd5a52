"""P21 and P22: what keeping personal fields costs at the door, and what erasing a person costs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from time import perf_counter

import msgspec

from api import wire
from ledger.privacy.held import Held
from ledger.records import disclosure
from ledger.records.marks import Category
from ledger.records.privacy import ErasureBasis
from ledger.records.sites import SessionMirrored
from ledger.records.statement import new_salt
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, speed, time
from tests.support import world as stage

FACETS = 60
ENTRY_BYTES = 900


def _session(world: stage.World, *, personal: bool) -> wire.Submission:
    """A signed session with six personal fields, or without any."""
    said = SessionMirrored(session_id=stage.new_id("session"), site_id=stage.SITE)
    if personal:
        said = msgspec.structs.replace(
            said,
            evse_id=stage.EVSES[0],
            evu=world.party(stage.PERSONS[0]),
            discharge_allowed=True,
            ev_key_spki_sha256=world.car_key(stage.PERSONS[0]),
            ev_firmware_sha256=stage.FIRMWARE,
            from_ms=stage.DAWN_MS,
        )
    subject = world.party(stage.PERSONS[0]) if personal else None
    return world.submission(stage.CSO, said, f"site/{stage.SITE}", subject=subject)


@contextmanager
def _ingest(scale: Scale) -> Iterator[Pair]:
    with ground.opened(scale) as ours:
        world, times = ours.world, scale.of(100, 25)
        principal = world.principal(stage.CSO)

        async def taken(submitted: list[wire.Submission]) -> None:
            for one in submitted:
                await world.desk.admit(world.desk.open(one, principal), principal)

        def figure(*, personal: bool) -> float:
            ready = [_session(world, personal=personal) for _ in range(times)]
            started = perf_counter()
            ours.run(taken(ready))
            return (perf_counter() - started) / times

        yield Pair(lambda: figure(personal=True), lambda: figure(personal=False))


@contextmanager
def _erase(scale: Scale) -> Iterator[Pair]:
    numbers = count(1)
    with ground.opened(scale) as ours, closing(_raw(scale)) as db:
        vault, times = ours.world.engines.vault, scale.of(10, 4)

        def person() -> str:
            name = f"evu-bench-{next(numbers):06d}"
            held = [
                Held(
                    text=disclosure.make(new_salt(), "at_ms", stage.DAWN_MS + n).text,
                    subject=name,
                    category=Category.BEHAVIOUR,
                    retention="P2Y",
                )
                for n in range(FACETS)
            ]
            vault.keep(held)
            return name

        def operation() -> float:
            persons = [person() for _ in range(times)]
            started = perf_counter()
            for one in persons:
                ours.run(ours.world.privacy.erase(one, ErasureBasis.CONSENT_WITHDRAWN))
            return (perf_counter() - started) / times

        def floor() -> float:
            started = perf_counter()
            for _ in range(times):
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO entry (data) VALUES (?)", (bytes(ENTRY_BYTES),))
                db.execute("COMMIT")
            return (perf_counter() - started) / times

        yield Pair(operation, floor)


def _raw(scale: Scale) -> sqlite3.Connection:
    db = sqlite3.connect(scale.fresh() / "raw.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT")
    return db


ROWS = (
    Row(
        id="P21",
        what="ingest of a session with six personal fields",
        floor="the same statement type without them",
        goal=speed(0.60),
        prepare=_ingest,
    ),
    Row(
        id="P22",
        what="erase a person with 60 facets",
        floor="one durable commit of 900 bytes",
        goal=time(20.0),
        prepare=_erase,
    ),
)
