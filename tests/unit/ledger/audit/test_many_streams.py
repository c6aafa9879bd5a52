"""Streams that are too many for memory are sorted in a file, and joined as if they had never left."""

from pathlib import Path

import pytest

from ledger.audit.report import Code, Report, listed
from ledger.audit.run import audit
from ledger.audit.segments import Segment, Segments, merged
from ledger.audit.sqlite_source import SqliteSource
from tests.support import attacks, logs


def audited(path: Path, **options: object) -> Report:
    source = SqliteSource(path)
    try:
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, **options)
    finally:
        source.close()


def segment(index: int) -> Segment:
    return Segment(index, 1, "0" * 64, None, index, 1, bytes([index]) * 32, is_closed=index % 2 == 1)


def test_what_was_written_to_the_file_comes_back_in_order(tmp_path: Path) -> None:
    kept, spilled = Segments(None), Segments(tmp_path / "spill", limit=1)
    for at, name in enumerate(["fsr/c", "fsr/a", "fsr/b"]):
        for held in (kept, spilled):
            held.open[name] = segment(at)
        spilled.make_room()
    found = spilled.finish()
    assert isinstance(found, Path)
    assert list(merged([found])) == list(merged([kept.finish()]))
    assert [name for name, _ in merged([found])] == ["fsr/a", "fsr/b", "fsr/c"]


def test_parts_of_a_stream_follow_each_other_in_the_order_of_the_log() -> None:
    first, second = Segments(None), Segments(None)
    first.open["fsr/a"], second.open["fsr/a"] = segment(1), segment(2)
    assert [one.first_index for _, one in merged([first.finish(), second.finish()])] == [1, 2]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_an_audit_says_the_same_however_little_memory_it_has(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    with logs.unfenced(path) as db:
        attacks.body(db, 3)
        attacks.body(db, 300)
        db.execute("UPDATE stream_head SET seq = seq + 1 WHERE stream = 'fsr/s3'")
    expected = audited(path)
    monkeypatch.setattr("ledger.audit.run.MAX_SEGMENTS", limit)
    found = audited(path)
    assert found == expected
    assert {one.index for one in listed(found.findings, Code.BODY_EDITED)} == {3, 300}
    assert {one.stream for one in listed(found.findings, Code.PROJECTION_DIFFERS)} == {"fsr/s3"}


def test_a_clean_log_is_clean_with_one_stream_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.run.MAX_SEGMENTS", 1)
    assert audited(path, resolve=logs.resolve).ok
