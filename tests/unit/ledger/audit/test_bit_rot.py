"""One bit flips somewhere, a thousand times over: it is found and named, or no row says anything else than before.

Every flip follows from its seed. What the file keeps beside rows is left out: free room, the fences that stop our own
mistakes (`schema.APPEND_ONLY`), and the table that is written to learn whether there is room.
"""

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from ledger import mirror
from ledger.audit.report import Code, Report
from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.audit.static_source import StaticSource
from ledger.errors import Absent, LedgerError
from ledger.reader import Reader
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.store.errors import StoreDamaged, StoreForeign
from ledger.store.sqlite import SqliteReader
from tests.support import logs
from tests.support.tamper import source_of, tampered

SIZE, EVERY = 300, 60
FLIPS: Final = 1_000
"""Seeds for the file; a part of them in `make check`."""
QUICK: Final = 40
TABLES = ("head", "entry", "tile", "checkpoint", "stream_head", "idempotency", "actor_counter", "actor")
Rows = dict[str, list[tuple[Any, ...]]]


class Unknown(Absent):
    code = "ledger/unknown-for-test"


def resolve(x5t: str, _entry: Entry) -> Actor:
    if x5t not in logs.ACTORS:
        raise Unknown("no such certificate")
    return logs.ACTORS[x5t]


def said(report: Report) -> str:
    return "; ".join(f"{one.code} {one.detail} index={one.index} table={one.table}" for one in report.findings[:3])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(logs.build(tmp_path_factory.mktemp("rot"), SIZE, every=EVERY))


def rows_of(path: Path) -> Rows | None:
    """Every row as it can be read; None where SQLite itself sees the damage."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
            db.text_factory = bytes
            asked = {table: f"SELECT * FROM {table} NOT INDEXED ORDER BY 1, 2" for table in TABLES}  # noqa: S608 -- names of ours
            return {table: db.execute(sql).fetchall() for table, sql in asked.items()}
    except (sqlite3.Error, UnicodeDecodeError):
        return None


def flipped(octets: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    place = chance.randrange(len(octets))
    return octets[:place] + bytes([octets[place] ^ 1 << chance.randrange(8)]) + octets[place + 1 :]


def judged(path: Path, *, is_signed: bool) -> Report | LedgerError:
    """What an audit says, or the coded error with which it ends; anything else is a failure of the test."""
    try:
        source = SqliteSource(path)
    except LedgerError as error:
        return error
    try:
        who = resolve if is_signed else None
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=who)
    except LedgerError as error:
        return error
    finally:
        source.close()


def is_whole(path: Path) -> bool:
    """Whether SQLite finds every page and every index right."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        return bool(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def require_found(path: Path, before: Rows, after: Rows | None, told: Report | LedgerError, seed: int) -> str:
    """Returns what became of the flip."""
    if isinstance(told, LedgerError):
        # Nobody is accused: what the tables are, or where they lie, cannot be read.
        assert isinstance(told, StoreDamaged | StoreForeign), (seed, told)
        return "refused"
    if after is None:
        # SQLite saw it where a whole table is read; the audit went by keys and may not have come that way.
        return "seen by SQLite"
    if after == before:
        # The way to a row by its key may be damaged where the row is not.
        assert told.ok or not is_whole(path), (seed, said(told))
        return "nowhere"
    assert not told.ok, (seed, {table for table in TABLES if before[table] != after[table]})
    changed = [
        (old[0], old[1] != new[1])
        for old, new in zip(before["entry"], after["entry"], strict=False)
        if old != new and old[0] == new[0]
    ]
    if len(changed) == 1 and len(before["entry"]) == len(after["entry"]):
        ((index, is_body),) = changed
        named = {one.index for one in told.findings if one.index is not None}
        assert index in named, (seed, index, said(told))
        if is_body:
            codes = {one.code for one in told.findings if one.index == index}
            assert codes & {Code.BODY_EDITED, Code.ENTRY_MALFORMED}, (seed, index, said(told))
    return "named"


def play(good: Path, work: Path, seeds: range) -> dict[str, int]:
    before, octets = rows_of(good), good.read_bytes()
    assert before is not None
    counts: dict[str, int] = {}
    path = work / "log.db"
    for seed in seeds:
        path.write_bytes(flipped(octets, seed))
        after = rows_of(path)
        # Signatures take nine tenths of the time, and tell more only of who is said to have signed.
        is_signed = seed % 20 == 0 or (after is not None and after["actor"] != before["actor"])
        became = require_found(path, before, after, judged(path, is_signed=is_signed), seed)
        counts[became] = counts.get(became, 0) + 1
        for left in ("-wal", "-shm"):
            (work / f"log.db{left}").unlink(missing_ok=True)
    return counts


def test_a_bit_that_flips_in_the_file_is_named_wherever_a_row_says_something_else(good: Path, tmp_path: Path) -> None:
    assert play(good, tmp_path, range(QUICK))["named"] > QUICK // 3


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_thousand_bits_that_flip_in_the_file_are_named(good: Path, tmp_path: Path, part: int) -> None:
    counts = play(good, tmp_path, range(FLIPS * part // 4, FLIPS * (part + 1) // 4))
    assert counts["named"] > FLIPS // 4 // 3, counts


@pytest.mark.slow
def test_a_bit_that_flips_in_a_static_directory_is_named_with_its_file(good: Path, tmp_path: Path) -> None:
    with closing(SqliteReader.open(good)) as reader:
        mirror.update(Reader(reader), tmp_path / "mirror", origin=logs.ORIGIN, vkeys=logs.signer().vkey + "\n")
    files = sorted(path for path in (tmp_path / "mirror").rglob("*") if path.is_file())
    judged_files = {"entries", "tile", "checkpoint"}
    found = 0
    for seed in range(96):
        path = files[seed % len(files)]
        octets = path.read_bytes()
        path.write_bytes(flipped(octets, seed))
        report = None
        with suppress(LedgerError):
            report = audit(
                StaticSource(tmp_path / "mirror"), vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=resolve
            )
        path.write_bytes(octets)
        if judged_files & set(path.relative_to(tmp_path / "mirror").parts):
            assert report is None or not report.ok, (seed, path)
            found += 1
    assert found > 60


@pytest.fixture(params=["sqlite", "postgres"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A log on this engine."""
    before = logs.medium
    if request.param == "postgres":
        logs.medium = logs.Postgres(request.getfixturevalue("postgres_server").dsn)
    try:
        asyncio.run(_build(tmp_path))
        yield tmp_path
    finally:
        logs.medium = before


async def _build(folder: Path) -> None:
    log = await logs.begin(folder)
    for start in range(0, SIZE, EVERY):
        await log.add(*range(start, start + EVERY), streams=7)
        await log.publisher.publish()
    await log.close()


def other(value: Any, chance: random.Random) -> Any:
    """The value with one bit changed."""
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(16)
    octets = value.encode() if isinstance(value, str) else bytes(value)
    if not octets:
        return None
    place = chance.randrange(len(octets))
    changed = octets[:place] + bytes([octets[place] ^ 1 << chance.randrange(7)]) + octets[place + 1 :]
    if not isinstance(value, str):
        return changed
    text = changed.decode("utf-8", "replace")
    return None if "\x00" in text or text == value else text


@pytest.mark.slow
def test_a_bit_of_any_value_of_any_row_is_found_on_either_engine(directory: Path) -> None:
    chance, found = random.Random(4), 0
    while found < 60:
        with tampered(directory) as db:
            table = chance.choice(TABLES)
            rows = [tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]  # noqa: S608 -- names of ours
            row = chance.choice(rows)
            names = COLUMNS[table]
            column = chance.randrange(len(names))
            if (table, names[column]) in UNSIGNED:
                continue
            value = None if row[column] is None else other(row[column], chance)
            if value is None:
                continue
            keys = [(name, one) for name, one in zip(names, row, strict=True) if one is not None]
            where = " AND ".join(f"{name} = ?" for name, _ in keys)
            try:
                db.execute(
                    f"UPDATE {table} SET {names[column]} = ? WHERE {where}",  # noqa: S608 -- names of ours
                    (value, *(one for _, one in keys)),
                )
            except (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
                continue
        told = _told(directory)
        assert isinstance(told, LedgerError) or not told.ok, (table, names[column], row[:2], value)
        found += 1
        with tampered(directory) as db:
            changed = [(name, value if name == names[column] else one) for name, one in keys]
            db.execute(
                f"UPDATE {table} SET {names[column]} = ? WHERE " + " AND ".join(f"{name} = ?" for name, _ in changed),  # noqa: S608 -- names of ours
                (row[column], *(one for _, one in changed)),
            )
    last = _told(directory)
    assert isinstance(last, Report)
    last.raise_for_findings()


def _told(directory: Path) -> Report | LedgerError:
    try:
        with closing(source_of(directory)) as source:
            return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, resolve=resolve)
    except LedgerError as error:
        return error


UNSIGNED: Final = {("checkpoint", "at_ms")}
"""When the service itself last had time to sign; nothing in the log says so, and nobody is shown it as evidence."""
COLUMNS: Final = {
    "head": ("id", "origin", "size", "frontier", "rec_ms", "projected"),
    "entry": ("idx", "data", "leaf", "previous_idx", "actor"),
    "tile": ("place", "hashes", "root"),
    "checkpoint": ("size", "note", "at_ms", "cosigned"),
    "stream_head": ("stream", "seq", "leaf", "idx", "closed"),
    "idempotency": ("party", "jti", "idx"),
    "actor_counter": ("party", "x5t", "seq"),
    "actor": ("id", "value"),
}
