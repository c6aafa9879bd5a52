"""What the owner of the database can do to single rows, pages and bits of a log on SQLite."""

import multiprocessing
import os
import random
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.audit.processes import WorkerLost
from ledger.audit.report import Code, Finding, Report, listed
from ledger.audit.run import audit
from ledger.audit.source import End, SignedNote
from ledger.audit.sqlite_source import SqliteSource
from ledger.errors import LedgerError
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.store.errors import StoreAbsent
from tests.support import attacks, logs

pytestmark = pytest.mark.slow  # takes seconds

HEAD, MIDDLE, TAIL = 3, 310, 590
PLACES = pytest.mark.parametrize("index", [HEAD, MIDDLE, TAIL])


def audited(path: Path, **options: object) -> Report:
    source = SqliteSource(path)
    try:
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, **options)
    finally:
        source.close()


def only(report: Report, code: Code) -> Finding:
    (finding,) = listed(report.findings, code)
    return finding


def follower(index: int) -> int:
    return index + 7


def test_an_untouched_log_has_no_findings(path: Path) -> None:
    report = audited(path, resolve=logs.resolve)
    report.raise_for_findings()
    assert report.ok
    assert (report.size, report.signed_size, report.checkpoints, report.signatures) == (600, 600, 6, 600)


@pytest.mark.parametrize("count", [1, 99, 100, 599])
def test_a_cut_tail_is_counted(path: Path, count: int) -> None:
    with logs.unfenced(path) as db:
        attacks.cut_tail(db, count)
    report = audited(path)
    cut = only(report, Code.TRUNCATED)
    assert (cut.expected, cut.found, cut.index) == ("600", str(600 - count), 600 - count)
    assert report.signed_size == (600 - count) // 100 * 100


@PLACES
def test_a_missing_row_is_named(path: Path, index: int) -> None:
    with logs.unfenced(path) as db:
        db.execute("DELETE FROM entry WHERE idx = ?", (index,))
    report = audited(path)
    assert only(report, Code.ENTRY_MISSING).index == index
    gap = only(report, Code.SEQ_GAP)
    assert (gap.index, gap.previous_index) == (follower(index), index - 7 if index >= 7 else None)


@PLACES
def test_a_changed_leaf_hash_beside_a_signed_entry_is_named(path: Path, index: int) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE entry SET leaf = ? WHERE idx = ?", (bytes(32), index))
    report = audited(path)
    assert only(report, Code.LEAF_MISMATCH).index == index
    assert set(report.counts) == {"ledger/leaf-mismatch"}


def test_every_fault_is_reported_not_the_first(path: Path) -> None:
    with logs.unfenced(path) as db:
        for index in (5, 99, 300, 599):
            attacks.body(db, index)
    found = [finding.index for finding in listed(audited(path).findings, Code.BODY_EDITED)]
    assert found == [5, 99, 300, 599]


def test_a_changed_tile_is_named_with_the_entry_under_it(path: Path) -> None:
    with logs.unfenced(path) as db:
        (hashes,) = db.execute("SELECT hashes FROM tile WHERE place = 1").fetchone()
        db.execute("UPDATE tile SET hashes = ? WHERE place = 1", (hashes[:320] + bytes(32) + hashes[352:],))
    tiles = listed(audited(path).findings, Code.TILE_MISMATCH)
    assert (tiles[0].level, tiles[0].tile, tiles[0].index) == (0, 1, 256 + 10)


@pytest.mark.parametrize("change", ["DELETE FROM tile WHERE place = 0", "UPDATE tile SET root = x'00' WHERE place = 0"])
def test_a_missing_tile_or_a_wrong_tile_root_is_named(path: Path, change: str) -> None:
    with logs.unfenced(path) as db:
        db.execute(change)
    finding = only(audited(path), Code.TILE_MISMATCH)
    assert (finding.level, finding.tile) == (0, 0)


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE stream_head SET seq = seq + 1 WHERE stream = 'fsr/s3'", "stream_head"),
        ("DELETE FROM stream_head WHERE stream = 'fsr/s3'", "stream_head"),
        ("INSERT INTO stream_head VALUES ('fsr/none', 1, x'00', 1, 0)", "stream_head"),
        ("UPDATE idempotency SET idx = 5 WHERE idx = 8", "idempotency"),
        ("DELETE FROM idempotency WHERE idx = 8", "idempotency"),
        ("INSERT INTO idempotency VALUES ('NL-CSO', 'never', 8)", "idempotency"),
        ("UPDATE actor_counter SET seq = 1 WHERE party = 'NL-FO'", "actor_counter"),
        ("UPDATE head SET rec_ms = 1", "head"),
        ("UPDATE entry SET previous_idx = 4 WHERE idx = 12", "entry.previous_idx"),
        ("UPDATE entry SET previous_idx = 0 WHERE idx = 3", "entry.previous_idx"),
        ("UPDATE entry SET actor = 2 WHERE idx = 3", "actor"),
        ("UPDATE actor SET value = x'00' WHERE id = 2", "actor"),
    ],
)
def test_a_changed_projection_is_named(path: Path, change: str, table: str) -> None:
    with logs.unfenced(path) as db:
        db.execute(change)
    report = audited(path)
    assert set(report.counts) == {"ledger/projection-differs"}
    assert {finding.table for finding in report.findings} == {table}


def test_a_row_of_the_statements_that_moved_is_named_by_its_entry(path: Path) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE idempotency SET idx = 5 WHERE idx = 8")
    assert [finding.index for finding in audited(path).findings] == [5, 8]


@pytest.mark.parametrize("size", [100, 300, 600])
def test_a_forged_checkpoint_is_named(path: Path, size: int) -> None:
    with logs.unfenced(path) as db:
        (note,) = db.execute("SELECT note FROM checkpoint WHERE size = ?", (size,)).fetchone()
        db.execute("UPDATE checkpoint SET note = ? WHERE size = ?", (note.replace(b"\n", b"0\n", 2), size))
    finding = only(audited(path), Code.CHECKPOINT_UNVERIFIED)
    assert finding.window_end == size


def test_a_checkpoint_under_another_size_is_named(path: Path) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE checkpoint SET size = 150 WHERE size = 100")
    finding = only(audited(path), Code.CHECKPOINT_UNVERIFIED)
    assert (finding.expected, finding.found) == ("150", "100")


def test_a_log_without_any_checkpoint_is_not_passed(path: Path) -> None:
    with logs.unfenced(path) as db:
        db.execute("DELETE FROM checkpoint")
    report = audited(path)
    assert set(report.counts) == {"ledger/checkpoint-missing"}
    assert report.signed_size == 0


def test_a_cut_log_with_cut_checkpoints_is_caught_by_a_checkpoint_that_was_held(path: Path) -> None:
    source = SqliteSource(path)
    held = [note.note for note in source.notes()][-1]
    source.close()
    with logs.unfenced(path) as db:
        attacks.cut_tail(db, 100)
        db.execute("DELETE FROM checkpoint WHERE size > 500")
        db.execute("DELETE FROM actor_counter")
    assert "ledger/truncated" not in audited(path).counts
    assert "ledger/truncated" in audited(path, held=[SignedNote(held, None, "held")]).counts


def test_a_statement_that_the_actor_did_not_sign_is_named(path: Path) -> None:
    def other(x5t: str, entry: object) -> object:
        return logs.actor_of("NL-FO") if x5t == logs.actor_of("NL-CSO").x5t else logs.resolve(x5t, entry)

    report = audited(path, resolve=other)
    assert report.counts["ledger/signature-invalid"] == 300
    assert report.signatures == 300


def test_two_processes_say_what_one_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.run.MIN_BLOCKS", 1)
    monkeypatch.setattr("ledger.audit.run.MIN_SIGNED_BLOCKS", 1)
    with logs.unfenced(path) as db:
        attacks.body(db, 255)
        db.execute("DELETE FROM entry WHERE idx = 511")
    seen: list[tuple[int, int]] = []
    alone = audited(path, resolve=logs.resolve)
    both = audited(path, resolve=logs.resolve, jobs=2, progress=lambda done, size: seen.append((done, size)))
    assert alone == both
    assert seen[-1] == (600, 600)


def test_a_process_that_dies_is_an_error_and_leaves_none_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.run.MIN_SIGNED_BLOCKS", 1)
    with pytest.raises(WorkerLost) as lost:
        audited(path, resolve=Deadly(os.getpid()), jobs=2)
    assert lost.value.found == str(-signal.SIGKILL)
    assert not multiprocessing.active_children()


def test_an_interrupt_leaves_no_process_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(done: int, size: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ledger.audit.run.MIN_BLOCKS", 1)
    with pytest.raises(KeyboardInterrupt):
        audited(path, jobs=2, progress=interrupted)
    assert not multiprocessing.active_children()


def test_an_error_of_a_process_is_told_with_its_code(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.run.MIN_BLOCKS", 1)
    source = Elsewhere(path)
    try:
        with pytest.raises(WorkerLost, match="ledger/store-absent"):
            audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, jobs=2)
    finally:
        source.close()


class Elsewhere(SqliteSource):
    """A log that is gone when another process looks for it."""

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Gone, (Path("gone.db"),)


class Gone:
    def __init__(self, path: Path) -> None:
        self.path = path

    def confirmed(self, ends: Sequence[End]) -> tuple[str, ...]:
        return ()

    def block(self, index: int, width: int) -> None:
        raise StoreAbsent("no log in this place", found=self.path.name)


class Deadly:
    """Knows everybody, and ends any process but one."""

    def __init__(self, spared: int) -> None:
        self.spared = spared

    def __call__(self, x5t: str, entry: Entry) -> Actor:
        if os.getpid() != self.spared:
            os.kill(os.getpid(), signal.SIGKILL)
        return logs.resolve(x5t, entry)


def test_progress_ends_at_the_size(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    audited(path, progress=lambda done, size: seen.append((done, size)))
    assert seen == [(256, 600), (512, 600), (600, 600)]


def test_a_list_of_findings_is_bounded_and_counted_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE entry SET leaf = zeroblob(32)")
    for limit in (599, 600):
        monkeypatch.setattr("ledger.audit.report.MAX_FINDINGS", limit)
        report = audited(path)
        assert (len(report.findings), report.counts["ledger/leaf-mismatch"]) == (limit, 600)


def test_differences_that_are_remembered_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE entry SET leaf = zeroblob(32)")
    for limit in (599, 600):
        monkeypatch.setattr("ledger.audit.blocks.MAX_DIFFERENCES", limit)
        assert audited(path).counts["ledger/leaf-mismatch"] == limit


def test_pages_that_the_database_cannot_read_are_reported(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    (entries,) = db.execute("SELECT count(*) FROM entry").fetchone()
    db.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 12)
        file.write(b"\xff" * 100)
    report = audited(path)
    # Which entries hang below the damage depends on the length of their signatures, so the database itself is asked.
    lost = sum(min(256, entries - start) for start in range(0, entries, 256) if not is_readable(path, start))
    assert {finding.table for finding in listed(report.findings, Code.FILE_DIFFERS)} == {"entry"}
    assert report.counts["ledger/entry-missing"] == lost > 0


def is_readable(path: Path, start: int) -> bool:
    db = sqlite3.connect(path)
    try:
        db.execute("SELECT idx, data, leaf FROM entry WHERE idx >= ? AND idx < ?", (start, start + 256)).fetchall()
    except sqlite3.DatabaseError:
        return False
    finally:
        db.close()
    return True


@pytest.mark.parametrize("seed", range(40))
def test_a_rotten_bit_anywhere_in_the_file_is_found_or_harmless(path: Path, seed: int) -> None:
    """Harmless is a bit that no reader reads: in free space, or in a table that the log does not rest on."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    entries_before = db.execute("SELECT idx, data, leaf FROM entry").fetchall()
    db.close()
    some = random.Random(seed)
    data = bytearray(path.read_bytes())
    data[some.randrange(100, len(data))] ^= 1 << some.randrange(8)
    path.write_bytes(data)
    try:
        is_found = not audited(path).ok
    except LedgerError:
        return
    if not is_found:
        db = sqlite3.connect(path)
        assert db.execute("SELECT idx, data, leaf FROM entry").fetchall() == entries_before
        db.close()
