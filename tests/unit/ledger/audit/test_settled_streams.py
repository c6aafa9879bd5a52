"""Streams whose stored head is right are let go early; whatever is wrong is named as if all had been kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ledger.audit.report import Code, Report, listed
from ledger.audit.run import audit
from ledger.audit.source import Block, End
from ledger.audit.sqlite_source import SqliteSource
from ledger.records import entry as entries
from ledger.tlog import hashing
from tests.support import attacks, logs

pytestmark = pytest.mark.slow  # takes seconds

STREAM = "fsr/s3"


class Keeping(SqliteSource):
    """A source that confirms no head, so that every stream is kept to the end."""

    def confirmed(self, ends: Sequence[End]) -> tuple[str, ...]:
        return ()


class Counting(SqliteSource):
    """Counts how often a block was read."""

    blocks = 0

    def block(self, index: int, width: int) -> Block:
        self.blocks += 1
        return super().block(index, width)


def audited(source: SqliteSource) -> Report:
    try:
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN)
    finally:
        source.close()


def _of_stream(db: attacks.Tampered, *, before: int) -> list[tuple[int, bytes]]:
    rows = db.execute("SELECT idx, data FROM entry WHERE idx < ? ORDER BY idx", (before,)).fetchall()
    return [(index, data) for index, data in rows if entries.decode(data).stream == STREAM]


def older_head(db: attacks.Tampered) -> None:
    """The head is that of the stream's last entry in the first block."""
    index, data = _of_stream(db, before=256)[-1]
    row = (entries.decode(data).seq, hashing.leaf(data), index, STREAM)
    db.execute("UPDATE stream_head SET seq = ?, leaf = ?, idx = ? WHERE stream = ?", row)


def no_head(db: attacks.Tampered) -> None:
    db.execute("DELETE FROM stream_head WHERE stream = ?", (STREAM,))


def head_of_nothing(db: attacks.Tampered) -> None:
    db.execute("INSERT INTO stream_head VALUES ('fsr/none', 1, ?, 5, 0)", (bytes(32),))


def head_under_another_name(db: attacks.Tampered) -> None:
    db.execute("UPDATE stream_head SET stream = 'fsr/none' WHERE stream = ?", (STREAM,))


def closed_head(db: attacks.Tampered) -> None:
    db.execute("UPDATE stream_head SET closed = 1 WHERE stream = ?", (STREAM,))


def second_beginning(db: attacks.Tampered) -> None:
    """An entry of the third block claims to begin the stream, under a tree made again."""
    index, _ = _of_stream(db, before=10_000)[-1]
    assert index >= 512
    attacks.rewrite(db, index, seq=1, prev=entries.NO_PREVIOUS)
    attacks.rebuild_tree(db)


def second_beginning_behind_its_head(db: attacks.Tampered) -> None:
    second_beginning(db)
    older_head(db)


def missing_beginning(db: attacks.Tampered) -> None:
    attacks.delete_and_renumber(db, _of_stream(db, before=256)[0][0])


ATTACKS = [
    older_head,
    no_head,
    head_of_nothing,
    head_under_another_name,
    closed_head,
    second_beginning,
    second_beginning_behind_its_head,
    missing_beginning,
]


@pytest.mark.parametrize("limit", [1, 12_288])
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_wrong_with_a_stream_is_named_as_if_all_were_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, attack: Callable[[attacks.Tampered], None], limit: int
) -> None:
    with logs.unfenced(path) as db:
        attack(db)
    expected = audited(Keeping(path))
    monkeypatch.setattr("ledger.audit.run.MAX_SEGMENTS", limit)
    assert audited(SqliteSource(path)) == expected
    assert not expected.ok


@pytest.mark.parametrize("limit", [1, 12_288])
def test_a_log_whose_streams_are_right_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("ledger.audit.run.MAX_SEGMENTS", limit)
    source = Counting(path)
    assert audited(source).ok
    assert source.blocks == 3


def test_a_fault_in_no_stream_does_not_have_the_log_read_twice(path: Path) -> None:
    with logs.unfenced(path) as db:
        attacks.edit_tile(db, 7)
    source = Counting(path)
    assert listed(audited(source).findings, Code.TILE_MISMATCH)
    assert source.blocks == 3
