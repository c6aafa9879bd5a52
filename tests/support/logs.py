"""Small real logs for tests: deterministic keys, signed statements, a rule book that allows everything."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.appender import Appender, Publisher, Submission
from ledger.clock import SetClock
from ledger.records import jws, statement
from ledger.records.actor import Actor, Role
from ledger.records.entry import Entry, Submitter
from ledger.records.execution import ExecutionKind, ExecutionNoted
from ledger.records.log import StreamClosed
from ledger.records.record import Record
from ledger.records.statement import Statement
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Fact
from ledger.store.log_keys import LogKeys
from ledger.store.postgres import PostgresStore
from ledger.store.signer_state import SignerState
from ledger.store.sqlite import SqliteStore
from ledger.tlog.note import NoteSigner

ORIGIN = "log.example/test"
START_MS = 1_795_532_000_123
SUBMITTER = Submitter(cert="ab" * 32, party="NL-CSO", role="CSO")
PARTIES = ("NL-CSO", "NL-FO")


def key_of(party: str) -> Ed25519PrivateKey:
    """The party's key, always the same."""
    return Ed25519PrivateKey.from_private_bytes(party.encode().ljust(32, b"."))


def signer() -> NoteSigner:
    """The log's key, always the same."""
    return NoteSigner(ORIGIN, key_of("log"))


def actor_of(party: str = "NL-CSO") -> Actor:
    """The actor behind `key_of(party)`."""
    spki = (
        key_of(party)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    x5t = jws.encode_base64url(party.encode().ljust(32, b"x"))
    return Actor(party=party, role=Role.CSO, key_spki=spki, x5t=x5t, tbs_sha256="cd" * 32, services=frozenset({"V2G"}))


ACTORS = {actor_of(party).x5t: actor_of(party) for party in PARTIES}


def resolve(x5t: str, entry: Entry) -> Actor:
    """Who signs in these logs."""
    return ACTORS[x5t]


def jti(number: int) -> str:
    """A statement id of this number."""
    return f"{number:020x}"


def said(
    number: int,
    *,
    stream: str = "fsr/one",
    party: str = "NL-CSO",
    what: Record | None = None,
    exp_prev: str | None = None,
    actor_seq: int | None = None,
    audience: str = ORIGIN,
) -> Statement:
    """A signed statement with the id `jti(number)`."""
    record = what or ExecutionNoted(
        n_id=f"note-{number}", fsr_id="fsr-1", participation="part-1", kind=ExecutionKind.STARTED
    )
    signed = statement.sign(
        record,
        key=key_of(party),
        x5t=actor_of(party).x5t,
        party=party,
        audience=audience,
        stream=stream,
        now_ms=START_MS,
        jti=jti(number),
        exp_prev=exp_prev,
        actor_seq=actor_seq,
    )
    return statement.parse_statement(signed.raw)


def closing(number: int, stream: str, n: int) -> Statement:
    """A statement that closes the stream after `n` entries."""
    return said(number, stream=stream, what=StreamClosed(closed=stream, n=n))


def submitted(what: Statement, *, now_ms: int = START_MS, tags: dict[str, str] | None = None) -> Submission:
    """What the door hands to the sequencer."""
    actor = ACTORS[what.header.x5t]
    return Submission(statement=what, actor=actor, submitter=SUBMITTER, now_ms=now_ms, tags=tags or {})


class RefusedForTest(RuleViolated):
    code = "rules/refused-for-test"


@dataclass
class RecordingRules:
    """Allows everything but the ids in `refused`, and remembers what was applied."""

    refused: set[str] = field(default_factory=set)
    applied: list[Fact] = field(default_factory=list)
    checked: list[Fact] = field(default_factory=list)

    def check(self, fact: Fact) -> None:
        self.checked.append(fact)
        if fact.statement.claims.jti in self.refused:
            raise RefusedForTest("the test says no")

    def apply(self, fact: Fact) -> None:
        self.applied.append(fact)


class Sqlite:
    """Logs as files."""

    def open(self, directory: Path, kind: type[Any] = object) -> SqliteStore:
        """The log of a directory, new if there is none; `kind` changes what the store does."""
        path = directory / "log.db"
        made: SqliteStore = mixed(kind, SqliteStore).open(path, create=not path.exists())
        return made


@dataclass
class Postgres:
    """Logs as schemas of one server, named after their directories."""

    dsn: str
    needs_standby: bool = False

    def schema(self, directory: Path) -> str:
        """The schema of a directory."""
        return "log_" + hashlib.sha256(str(directory).encode()).hexdigest()[:16]

    def open(self, directory: Path, kind: type[Any] = object) -> PostgresStore:
        """As above."""
        made: PostgresStore = mixed(kind, PostgresStore).open(
            self.dsn, schema=self.schema(directory), create=True, needs_standby=self.needs_standby
        )
        return made


def mixed(kind: type[Any], store: type[Any]) -> type[Any]:
    """The store, changed by `kind`."""
    return store if kind is object else type(f"{kind.__name__}{store.__name__}", (kind, store), {})


medium: Sqlite | Postgres = Sqlite()
"""Where logs lie; the fixture `engine` changes it for one test."""


@dataclass
class Log:
    """An open log."""

    directory: Path
    clock: SetClock
    store: Any
    """A SqliteStore or a PostgresStore."""
    appender: Appender
    publisher: Publisher

    async def add(self, *numbers: int, streams: int = 3) -> None:
        """Appends statements of these numbers, dealt out over some streams and two parties."""
        outcomes = await self.appender.append_many([submitted(dealt(number, streams)) for number in numbers])
        for outcome in outcomes:
            assert not isinstance(outcome, Exception), outcome

    async def close(self) -> None:
        await self.appender.close()
        self.store.close()


def dealt(number: int, streams: int = 3) -> Statement:
    """Statement `number` of a log over so many streams."""
    return said(number, stream=f"fsr/s{number % streams}", party=PARTIES[number // 5 % 2], actor_seq=number + 1)


async def begin(directory: Path, *, rules: Any = None, store: Any = None, patience_s: float = 5.0) -> Log:
    """Opens the log of the directory, new if there is none."""
    clock = SetClock(START_MS)
    store = store or medium.open(directory)
    appender = await Appender.start(
        store, origin=ORIGIN, clock=clock, rules=rules or RecordingRules(), patience_s=patience_s
    )
    state = SignerState(directory / "signer" / "state")
    state_directory = directory / "signer"
    state_directory.mkdir(exist_ok=True)
    publisher = Publisher(store, origin=ORIGIN, keys=LogKeys([signer()]), state=state, clock=clock)
    return Log(directory, clock, store, appender, publisher)


async def build(directory: Path, size: int, *, every: int = 100, streams: int = 7) -> Path:
    """A closed log of `size` entries with a checkpoint every so many; returns the path of its file."""
    log = await begin(directory)
    for start in range(0, size, every):
        await log.add(*range(start, min(size, start + every)), streams=streams)
        log.clock.set_ms(log.clock.now_ms() + 1000)
        await log.publisher.publish()
    await log.close()
    return directory / "log.db"


@contextmanager
def unfenced(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as its owner may write it: without our triggers."""
    db = sqlite3.connect(path)
    try:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        yield db
        db.commit()
    finally:
        db.close()
