"""P23: what an export of many records costs beside reading their entries: as they are, generalised, and provable."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from time import perf_counter
from typing import Final

import msgspec

from ledger.appender import Submission
from ledger.privacy.exports.policies import PolicyFile
from ledger.privacy.exports.policy import Column, Hierarchy, ProvablePolicy, UnlinkablePolicy
from ledger.privacy.exports.spool import Spool
from ledger.privacy.held import Held
from ledger.records import canonical, jws, record, statement
from ledger.records.entry import Submitter
from ledger.records.marks import Category
from ledger.records.privacy import LegalBasis, Profile, Purpose
from ledger.records.sites import SessionMirrored
from ledger.rules.fact import Evidence
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, speed
from tests.support import world as stage

PERSONS: Final = 1_000
A_LIST: Final = 500
PIECE: Final = 128
RECORDS: Final = ("site.session-mirrored",)

PROVABLE: Final = PolicyFile(
    name="bench-settlement",
    purpose=Purpose.SETTLEMENT,
    legal_basis=LegalBasis.CONTRACT,
    records=RECORDS,
    reviewed="a bench's own",
    provable=ProvablePolicy(
        version=1, profile=Profile.SETTLEMENT, disclose=frozenset({"from_ms", "discharge_allowed"})
    ),
)
GENERALISED: Final = PolicyFile(
    name="bench-research",
    purpose=Purpose.RESEARCH,
    legal_basis=LegalBasis.PUBLIC_TASK,
    records=RECORDS,
    reviewed="a bench's own",
    unlinkable=UnlinkablePolicy(
        version=1,
        columns=(
            Column(name="from", path="from_ms", hierarchy=Hierarchy.TIME, least=3),
            Column(name="place", path="evse_id", hierarchy=Hierarchy.PLACE),
        ),
    ),
)


def _sessions(ours: ground.Ground, amount: int) -> tuple[list[Submission], list[Held]]:
    """Sessions of many persons, with a signature that nobody made, and what the vault keeps of them."""
    world, now_ms = ours.world, ours.world.clock.now_ms()
    submitted = world.submission(
        stage.CSO, SessionMirrored(session_id="session-0", site_id=stage.SITE), f"site/{stage.SITE}"
    )
    one = statement.parse_statement(submitted.statement)
    head, signature = one.raw.partition(".")[0], one.raw.rpartition(".")[2]
    actor = world.directory.actor(one.header.x5t, now_ms)
    submitter = Submitter(cert=actor.tbs_sha256, party=actor.party, role=actor.role.value)
    made, held = [], []
    for _, number in zip(range(amount), ours.numbers, strict=False):
        said = SessionMirrored(
            session_id=f"session-{number:012x}",
            site_id=stage.SITE,
            evse_id=stage.EVSES[number % len(stage.EVSES)],
            discharge_allowed=number % 3 > 0,
            from_ms=stage.DAWN_MS + number % 96 * 900_000,
        )
        concealed = record.conceal(said, statement.new_salt)
        claims = msgspec.structs.replace(
            one.claims, jti=statement.new_jti(now_ms + number), event=concealed.event, sd_alg="sha-256"
        )
        raw = f"{head}.{jws.encode_base64url(canonical.encode(claims))}.{signature}"
        opened = statement.parse_statement(raw)
        made.append(Submission(statement=opened, actor=actor, submitter=submitter, now_ms=now_ms, evidence=Evidence()))
        person = f"evu-bench-{number % PERSONS:04d}"
        held += [Held(text.text, person, Category.BEHAVIOUR, "P2Y") for text in concealed.disclosures]
    return made, held


def _grown(scale: Scale) -> ground.Ground:
    """A service with so many sessions in its log; made once a run, and left open."""
    size = scale.of(100_000, 1_000)

    def fill(ours: ground.Ground) -> None:
        while ours.world.desk.appender.head.size < size:
            made, held = _sessions(ours, A_LIST)
            ours.world.engines.vault.keep(held)
            for outcome in ours.run(ours.world.desk.appender.append_many(made)):
                ground.appended(outcome)

    return ground.kept_open(scale, f"service with {size} sessions", fill)


@contextmanager
def _prepared(scale: Scale, act: Callable[[ground.Ground], int]) -> Iterator[Pair]:
    ours = _grown(scale)
    path = ours.world.engines.store.connection.execute("PRAGMA database_list").fetchone()[2]

    def operation() -> float:
        started = perf_counter()
        rows = act(ours)
        return (perf_counter() - started) / rows

    def floor() -> float:
        with closing(sqlite3.connect(path)) as db:
            started = perf_counter()
            rows = sum(1 for _ in db.execute("SELECT idx, data FROM entry ORDER BY idx"))
            return (perf_counter() - started) / rows

    yield Pair(operation, floor)


def _raw(ours: ground.Ground) -> int:
    """The entries as they stand in the log, into one file of an export: read, digested, enciphered, read again."""
    reader, size = ours.world.reader, ours.world.desk.appender.head.size
    with closing(Spool("records.jsonl")) as file:
        for start in range(0, size, PIECE):
            for data in reader.entries(start, min(start + PIECE, size)):
                file.write(data + b"\n")
        file.finish()
        sent = sum(len(piece) for piece in file.pieces())
    if sent != file.size:
        raise RuntimeError("the file is not what was written")
    return size


def _released(ours: ground.Ground, policy: PolicyFile) -> int:
    async def release() -> int:
        made = await ours.world.privacy.exports.release(policy, "fo-1")
        with closing(made):
            sent = sum(len(piece) for piece in made.pieces())
        if sent != made.size:
            raise RuntimeError("the archive is not what was announced")
        return made.rows

    return ours.run(release())


FLOOR: Final = "reading the entries in one scan"
ROWS = (
    Row(
        id="P23",
        what="export of a record: the entry as it is",
        floor=FLOOR,
        goal=speed(0.50),
        prepare=partial(_prepared, act=_raw),
    ),
    Row(
        id="P23",
        what="export of a record: opened, generalised, counted",
        floor=FLOOR,
        goal=speed(0.15),
        prepare=partial(_prepared, act=partial(_released, policy=GENERALISED)),
    ),
    Row(
        id="P23",
        what="export of a record: pseudonymised and proven",
        floor=FLOOR,
        goal=speed(0.15),
        prepare=partial(_prepared, act=partial(_released, policy=PROVABLE)),
    ),
)
