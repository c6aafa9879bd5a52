"""A copy of the tiles that lies elsewhere: what it says counts only as far as it adds up to what the log's key signed."""

from pathlib import Path

import pytest

from ledger.audit.kept_tiles import KeptTiles
from ledger.audit.report import Code, Finding, Report, listed
from ledger.audit.run import audit
from ledger.audit.sqlite_source import SqliteSource
from ledger.audit.static_source import StaticSource
from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Frontier
from tests.support import attacks, logs

INDEX = 310


def audited(path: Path, *copies: Path, **options: object) -> Report:
    source = SqliteSource(path) if path.suffix == ".db" else StaticSource(path)
    try:
        kept = [KeptTiles(one) for one in copies]
        return audit(source, vkeys=[logs.signer().vkey], origin=logs.ORIGIN, copies=kept, **options)
    finally:
        source.close()


def unusable(report: Report) -> list[tuple[int | None, int | None]]:
    found = listed(report.findings, Code.COPY_UNUSABLE)
    assert set(report.counts) <= {Code.COPY_UNUSABLE.value}, "an honest log is accused of nothing"
    assert report.agreeing == {}
    return [(one.window_start, one.window_end) for one in found]


def flip(path: Path, at: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_static_log_and_a_database_are_compared_with_a_copy_alike(path: Path, static: Path) -> None:
    for place in (path, static):
        assert audited(place, static).agreeing == {"static": 600}


def test_processes_side_by_side_say_the_same(path: Path, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.audit.run.MIN_BLOCKS", 1)
    with logs.unfenced(path) as db:
        attacks.body_tree_and_chain(db, 3)
    alone = audited(path, static)
    assert alone == audited(path, static, jobs=2)
    assert [one.index for one in listed(alone.findings, Code.ENTRY_REPLACED)] == list(range(3, 600, 7))


def test_entries_that_follow_each_other_are_one_finding(path: Path, static: Path) -> None:
    with logs.unfenced(path) as db:
        for index in (254, 255, 256, 258):
            attacks.body(db, index)
        db.execute("DELETE FROM entry WHERE idx = 257")
    runs = [(one.window_start, one.window_end) for one in _replaced(audited(path, static))]
    assert runs == [(254, 257), (258, 259)]  # a missing entry is a finding of its own


def test_what_cannot_be_read_as_an_entry_is_named_too(path: Path, static: Path) -> None:
    with logs.unfenced(path) as db:
        db.execute("UPDATE entry SET data = x'00' WHERE idx = ?", (INDEX,))
    (found,) = _replaced(audited(path, static))
    assert (found.index, found.stream) == (INDEX, None)


def _replaced(report: Report) -> list[Finding]:
    return listed(report.findings, Code.ENTRY_REPLACED)


def test_an_older_copy_vouches_for_what_it_has_and_no_more(path: Path, tmp_path: Path) -> None:
    store = SqliteReader.open(path)
    Reader(store).export_static(tmp_path / "older", size=400, vkey=logs.signer().vkey)
    store.close()
    assert audited(path, tmp_path / "older").agreeing == {"older": 400}
    with logs.unfenced(path) as db:
        attacks.body_tree_and_chain(db, 395)
    report = audited(path, tmp_path / "older")
    assert [one.index for one in _replaced(report)] == [395]  # 402 and the others behind it are not in the copy


def test_a_rotten_tile_of_the_copy_accuses_nobody_and_is_no_pass(path: Path, static: Path) -> None:
    flip(static / "tile/0/002.p/88")
    assert unusable(audited(path, static)) == [(0, 600)]  # an edge that does not add up leaves nothing to trust
    flip(static / "tile/0/002.p/88")
    # Nothing differs, so no hash of a single entry has to be read.
    flip(static / "tile/0/001", at=100)
    assert audited(path, static).agreeing == {"static": 600}
    with logs.unfenced(path) as db:
        attacks.body_tree_and_chain(db, INDEX)
    report = audited(path, static)
    (found,) = listed(report.findings, Code.COPY_UNUSABLE)
    assert (found.window_start, found.window_end, found.file) == (256, 512, "static")
    assert "ledger/tile-mismatch" in found.detail
    # The rest of it still speaks.
    assert [one.index for one in _replaced(report)] == [at for at in range(INDEX, 600, 7) if at >= 512]


@pytest.mark.parametrize("missing", ["tile/1/000.p/2", "tile/0/002.p/88"])
def test_a_copy_that_lacks_a_tile_accuses_nobody(path: Path, static: Path, missing: str) -> None:
    (static / missing).unlink()
    report = audited(path, static)
    assert unusable(report) == [(0, 600)]
    assert "ledger/tile-missing" in report.findings[0].detail


def test_a_copy_under_another_key_or_of_another_log_is_not_believed(path: Path, static: Path) -> None:
    root = checkpoint.parse(note.parse((static / "checkpoint").read_bytes()).text).root
    for signer in (note.NoteSigner.generate(logs.ORIGIN), note.NoteSigner.generate("log.example/other")):
        (static / "checkpoint").write_bytes(checkpoint.sign(Checkpoint(signer.name, 600, root), [signer]))
        report = audited(path, static)
        (found,) = report.findings
        assert (found.code, found.file) == (Code.CHECKPOINT_UNVERIFIED, "static")
        assert report.agreeing == {}


def test_a_copy_of_another_signed_history_convicts_the_key_and_says_where_the_two_part(
    path: Path, static: Path
) -> None:
    """Whoever has the log's key signs the other history too; then nothing in the database alone is wrong."""
    with logs.unfenced(path) as db:
        attacks.body_tree_and_chain(db, INDEX)
        (frontier,) = db.execute("SELECT frontier FROM head").fetchone()
        head = Checkpoint(logs.ORIGIN, 600, Frontier.load(frontier).root())
        db.execute("DELETE FROM checkpoint WHERE size < 600")
        db.execute("UPDATE checkpoint SET note = ?", (checkpoint.sign(head, [logs.signer()]),))
    assert audited(path).ok
    report = audited(path, static)
    assert set(report.counts) == {Code.CHECKPOINT_FORKED.value, Code.ENTRY_REPLACED.value}
    assert [one.index for one in _replaced(report)] == list(range(INDEX, 600, 7))


def test_a_copy_is_a_folder_with_a_checkpoint(static: Path) -> None:
    (static / "checkpoint").unlink()
    with pytest.raises(OSError, match="checkpoint"):
        KeptTiles(static)
    with pytest.raises(OSError, match="checkpoint"):
        KeptTiles(static / "nowhere")
