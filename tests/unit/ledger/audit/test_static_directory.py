"""A static export: whatever byte changes, the file is named, and the exact entry wherever there is one."""

import asyncio
import random
from pathlib import Path

import pytest

from ledger.audit.report import Code, Report, listed
from ledger.audit.run import audit
from ledger.audit.static_source import StaticSource
from ledger.reader import Reader
from ledger.store.sqlite import SqliteReader
from ledger.tlog import hashing, tiles
from tests.support import attacks, logs

pytestmark = pytest.mark.slow  # takes seconds

HEAD, MIDDLE, TAIL = 3, 310, 590
PLACES = pytest.mark.parametrize("index", [HEAD, MIDDLE, TAIL])


def audited(directory: Path) -> Report:
    return audit(StaticSource(directory), vkeys=[logs.signer().vkey], origin=logs.ORIGIN)


def bundle_of(index: int) -> Path:
    return Path(tiles.entries_path(index // 256, tiles.width_at(0, index // 256, 600)))


def tile_of(index: int) -> Path:
    return Path(tiles.tile_path(0, index // 256, tiles.width_at(0, index // 256, 600)))


def rewrite(directory: Path, index: int) -> bytes:
    """Attack A: the body of one entry."""
    path = directory / bundle_of(index)
    rows = list(tiles.decode_bundle(path.read_bytes(), tiles.width_at(0, index // 256, 600)))
    rows[index % 256] = attacks.edited(rows[index % 256])
    path.write_bytes(tiles.encode_bundle(rows))
    return rows[index % 256]


def retile(directory: Path, index: int, leaf: bytes) -> None:
    """Attack B: the leaf hash in the tile as well."""
    path = directory / tile_of(index)
    hashes = bytearray(path.read_bytes())
    hashes[index % 256 * 32 : index % 256 * 32 + 32] = leaf
    path.write_bytes(hashes)


def test_an_untouched_export_has_no_findings(static: Path) -> None:
    report = audited(static)
    report.raise_for_findings()
    assert (report.size, report.signed_size) == (600, 600)


@PLACES
def test_an_edited_body_is_named_with_its_file(static: Path, index: int) -> None:
    rewrite(static, index)
    report = audited(static)
    (finding,) = listed(report.findings, Code.BODY_EDITED)
    assert (finding.index, finding.file) == (index, str(bundle_of(index)))
    assert set(report.counts) == {"ledger/body-edited", "ledger/chain-broken", "ledger/root-mismatch"}


@PLACES
def test_an_edited_body_with_its_leaf_hash_is_named_by_the_chain(static: Path, index: int) -> None:
    retile(static, index, hashing.leaf(rewrite(static, index)))
    report = audited(static)
    (broken,) = listed(report.findings, Code.CHAIN_BROKEN)
    assert (broken.index, broken.previous_index) == (index + 7, index)
    assert {"ledger/chain-broken", "ledger/root-mismatch"} <= set(report.counts)


@PLACES
@pytest.mark.parametrize("depth", [attacks.body_and_tree, attacks.body_tree_and_chain])
def test_an_edited_body_with_a_new_tree_does_not_have_the_signed_root(
    original: Path, path: Path, tmp_path: Path, index: int, depth: object
) -> None:
    with logs.unfenced(path) as db:
        depth(db, index)
    export(path, tmp_path / "forged")
    report = audited(tmp_path / "forged")
    (window,) = listed(report.findings, Code.ROOT_MISMATCH)
    assert (window.window_start, window.window_end) == (0, 600)
    assert ("ledger/chain-broken" in report.counts) == (depth is attacks.body_and_tree)


@PLACES
def test_a_deleted_entry_leaves_a_gap_in_its_stream(path: Path, static: Path, tmp_path: Path, index: int) -> None:
    with logs.unfenced(path) as db:
        attacks.delete_and_renumber(db, index)
        db.execute("DELETE FROM checkpoint WHERE size < 600")
        db.execute("UPDATE checkpoint SET size = 599")
    export(path, tmp_path / "forged")
    report = audited(tmp_path / "forged")
    assert str(bundle_of(599)) in {finding.file for finding in report.findings}
    if index < 512:  # in the open bundle, which is missing under the signed size, there is nothing left to read
        (gap,) = listed(report.findings, Code.SEQ_GAP)
        assert (gap.index, gap.stream) == (index + 6, f"fsr/s{index % 7}")


def test_a_cut_tail_is_missing_entries(static: Path) -> None:
    (static / bundle_of(599)).unlink()
    report = audited(static)
    assert [finding.file for finding in listed(report.findings, Code.FILE_DIFFERS)] == [str(bundle_of(599))]
    assert [finding.index for finding in listed(report.findings, Code.ENTRY_MISSING)] == list(range(512, 600))


def test_a_tail_cut_inside_a_bundle_is_missing_entries(static: Path) -> None:
    path = static / bundle_of(599)
    rows = tiles.decode_bundle(path.read_bytes(), 88)
    path.write_bytes(tiles.encode_bundle(rows[:-3]))
    missing = listed(audited(static).findings, Code.ENTRY_MISSING)
    assert [finding.index for finding in missing] == [597, 598, 599]


def export(path: Path, directory: Path) -> None:
    reader = SqliteReader.open(path)
    Reader(reader).export_static(directory, vkey=logs.signer().vkey)
    reader.close()


def files(directory: Path) -> list[Path]:
    return sorted(found for found in directory.rglob("*") if found.is_file())


def test_every_byte_of_a_small_export_matters(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    path = asyncio.run(logs.build(tmp_path / "log", 3))
    export(path, tmp_path / "static")
    assert audited(tmp_path / "static").ok
    for file in files(tmp_path / "static"):
        data = file.read_bytes()
        step = 1 if len(data) < 300 else 7
        for offset in range(0, len(data), step):
            file.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])
            assert not audited(tmp_path / "static").ok, (file.name, offset)
        file.write_bytes(data)


def test_a_flipped_byte_anywhere_names_its_file(static: Path) -> None:
    some = random.Random(7)
    for file in files(static):
        data = file.read_bytes()
        for _ in range(4):
            offset = some.randrange(len(data))
            file.write_bytes(data[:offset] + bytes([data[offset] ^ (1 << some.randrange(8))]) + data[offset + 1 :])
            report = audited(static)
            assert not report.ok, (file.name, offset)
            if file.name != "checkpoint":
                assert str(file.relative_to(static)) in {finding.file for finding in report.findings}, file
        file.write_bytes(data)


def test_a_flipped_byte_in_an_entry_names_the_entry(static: Path) -> None:
    some = random.Random(8)
    for index in (0, 255, 256, 511, 512, 599):
        path = static / bundle_of(index)
        data = path.read_bytes()
        rows = tiles.decode_bundle(data, tiles.width_at(0, index // 256, 600))
        start = sum(2 + len(row) for row in rows[: index % 256]) + 2
        offset = start + some.randrange(len(rows[index % 256]))
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])
        edited = listed(audited(static).findings, Code.BODY_EDITED)
        assert [finding.index for finding in edited] == [index]
        path.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["checkpoint", "vkey", "tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"]
)
def test_a_missing_or_longer_file_is_named(static: Path, name: str) -> None:
    data = (static / name).read_bytes()
    (static / name).write_bytes(data + b"\n")
    assert name in {finding.file for finding in audited(static).findings}
    (static / name).unlink()
    report = audited(static)
    assert name in {finding.file for finding in report.findings} or name == "vkey"


def test_a_length_that_breaks_the_framing_is_named(static: Path) -> None:
    path = static / bundle_of(0)
    data = path.read_bytes()
    path.write_bytes(b"\xff\xff" + data[2:])
    report = audited(static)
    (broken,) = listed(report.findings, Code.ENTRY_MALFORMED)[:1]
    assert broken.file == str(bundle_of(0))
    assert not report.ok


def test_another_key_beside_the_log_is_named(static: Path) -> None:
    (static / "vkey").write_text("log.example/test+00000000+AAAA\n")
    assert [finding.file for finding in audited(static).findings] == ["vkey"]
