import asyncio
from pathlib import Path

import pytest

from ledger.reader import MAX_ENTRIES, ExportTargetTaken, Reader
from ledger.records import entry as entries
from ledger.store.errors import CertificateAbsent, CheckpointAbsent, EntryAbsent, StoreDamaged, StreamAbsent
from ledger.store.sqlite import SqliteReader, SqliteStore
from ledger.tlog import checkpoint, hashing, merkle, note, tiles
from ledger.tlog.errors import SizeOutOfRange, TileMalformed
from ledger.tlog.tiles import TileReader
from tests.support import logs

SIZE = 600


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(logs.build(tmp_path_factory.mktemp("log"), SIZE))


@pytest.fixture
def reader(path: Path):
    store = SqliteReader.open(path)
    yield Reader(store)
    store.close()


@pytest.fixture
def leaves(reader: Reader) -> list[bytes]:
    return [hashing.leaf(data) for data in reader.entries(0, SIZE)]


def test_the_head_is_the_root_over_the_entries(reader: Reader, leaves: list[bytes]) -> None:
    head = reader.head()
    assert (head.size, head.root) == (SIZE, merkle.root(leaves))
    assert head.rec_ms == entries.decode(reader.entry(SIZE - 1)).rec


def test_entries_are_read_one_by_one_and_in_ranges(reader: Reader) -> None:
    assert reader.entries(250, 260) == [reader.entry(index) for index in range(250, 260)]
    assert reader.entries(590, 700) == reader.entries(590, SIZE)
    assert reader.entries(SIZE, 700) == []
    assert MAX_ENTRIES >= SIZE
    for index in (-1, SIZE):
        with pytest.raises(EntryAbsent):
            reader.entry(index)
    for start, stop in ((-1, 3), (4, 3)):
        with pytest.raises(SizeOutOfRange):
            reader.entries(start, stop)


def test_a_range_is_bounded(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.reader.MAX_ENTRIES", 10)
    assert len(reader.entries(0, 10)) == 10
    assert len(reader.entries(0, 11)) == 10


def test_a_stream_is_read_in_order_and_from_any_seq(reader: Reader) -> None:
    whole = reader.stream("fsr/s3")
    assert [index for index, _ in whole] == list(range(3, SIZE, 7))
    assert [entries.decode(data).seq for _, data in whole] == list(range(1, len(whole) + 1))
    assert reader.stream("fsr/s3", from_seq=len(whole)) == whole[-1:]
    assert reader.stream("fsr/s3", from_seq=len(whole) + 1) == []
    with pytest.raises(StreamAbsent):
        reader.stream("fsr/none")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 599, 600])
def test_proofs_verify_at_every_size(reader: Reader, leaves: list[bytes], size: int) -> None:
    root = merkle.root(leaves[:size])
    assert reader.root(size) == root
    for index in {0, size // 2, size - 1}:
        proof = reader.inclusion(index, size)
        merkle.verify_inclusion(proof, index=index, size=size, leaf_hash=leaves[index], root=root)
    merkle.verify_consistency(
        reader.consistency(size, SIZE), old_size=size, new_size=SIZE, old_root=root, new_root=merkle.root(leaves)
    )


def test_no_proof_reaches_beyond_the_log(reader: Reader) -> None:
    for ask in (lambda: reader.inclusion(0, SIZE + 1), lambda: reader.inclusion(5, 5), lambda: reader.root(SIZE + 1)):
        with pytest.raises(SizeOutOfRange):
            ask()
    with pytest.raises(SizeOutOfRange):
        reader.consistency(1, SIZE + 1)


def test_proofs_are_right_while_the_log_grows(tmp_path: Path) -> None:
    async def play() -> None:
        log = await logs.begin(tmp_path)
        reader = Reader(log.store)
        for start in range(0, 530, 53):
            await log.add(*range(start, start + 53))
            size = start + 53
            leaves = log.store.leaves(0, size)
            for index in (0, start, size - 1):
                merkle.verify_inclusion(
                    reader.inclusion(index, size),
                    index=index,
                    size=size,
                    leaf_hash=leaves[index],
                    root=merkle.root(leaves),
                )
            reader.inclusion(0, size - 20)
        await log.close()

    asyncio.run(play())


def test_checkpoints_are_found_by_size(reader: Reader) -> None:
    verifiers = [note.parse_vkey(logs.signer().vkey)]
    for size in (None, 100, 600):
        opened = checkpoint.open_checkpoint(reader.checkpoint(size), logs.ORIGIN, verifiers).checkpoint
        assert opened.size == (size or SIZE)
        assert opened.root == reader.root(opened.size)
    with pytest.raises(CheckpointAbsent):
        reader.checkpoint(101)


def test_tiles_are_those_of_the_format(reader: Reader) -> None:
    written: dict[str, bytes] = {}
    tiles.write_tree(reader.entries(0, SIZE), written.__setitem__)
    for path, data in written.items():
        assert reader.tile(path) == data, path
    assert reader.tile("tile/0/000.p/9") == written["tile/0/000"][: 9 * 32]
    assert len(tiles.decode_bundle(reader.tile("tile/entries/002.p/3"), 3)) == 3
    for missing in ("tile/0/002", "tile/0/002.p/89", "tile/2/000.p/1", "tile/entries/003.p/1"):
        with pytest.raises(SizeOutOfRange):
            reader.tile(missing)
    with pytest.raises(TileMalformed):
        reader.tile("tile/0/../../etc/passwd")


def test_an_export_is_read_by_a_tile_client_under_its_root(reader: Reader, tmp_path: Path) -> None:
    seen: list[int] = []
    assert reader.export_static(tmp_path / "out", vkey=logs.signer().vkey, progress=seen.append) == SIZE
    assert seen == list(range(7))
    signed = (tmp_path / "out" / "checkpoint").read_bytes()
    opened = checkpoint.open_checkpoint(signed, logs.ORIGIN, [note.parse_vkey(logs.signer().vkey)]).checkpoint
    client = TileReader(lambda path: (tmp_path / "out" / path).read_bytes(), opened.size, root=opened.root)
    assert [client.entry(index) for index in range(SIZE)] == reader.entries(0, SIZE)
    assert (tmp_path / "out" / "vkey").read_text() == logs.signer().vkey + "\n"
    with pytest.raises(ExportTargetTaken):
        reader.export_static(tmp_path / "out", vkey=logs.signer().vkey)


def test_an_older_checkpoint_can_be_exported(reader: Reader, tmp_path: Path) -> None:
    assert reader.export_static(tmp_path / "out", 300, vkey=logs.signer().vkey) == 300
    assert sorted(file.name for file in (tmp_path / "out" / "tile" / "0" / "001.p").iterdir()) == ["44"]
    with pytest.raises(CheckpointAbsent):
        reader.export_static(tmp_path / "other", 301, vkey=logs.signer().vkey)


def test_statements_and_certificates_are_found(path: Path) -> None:
    store = SqliteStore.open(path)
    store.put_certificate("hint", b"der")
    store.put_evidence("00" * 32, "crl", b"crl")
    reader = Reader(store)
    assert reader.find_statement("NL-CSO", logs.jti(12)) == 12
    assert reader.find_statement("NL-FO", logs.jti(12)) is None
    assert reader.certificate("hint") == b"der"
    assert reader.evidence("00" * 32) == ("crl", b"crl")
    for ask in (lambda: reader.certificate("other"), lambda: reader.evidence("11" * 32)):
        with pytest.raises(CertificateAbsent):
            ask()
    store.close()


@pytest.mark.parametrize(
    ("damage", "ask"),
    [
        ("DELETE FROM entry WHERE idx = 10", lambda reader: reader.entries(0, 20)),
        ("DELETE FROM entry WHERE idx = 11", lambda reader: reader.tile("tile/entries/000")),
        ("DELETE FROM entry WHERE idx = 598", lambda reader: reader.tile("tile/0/002.p/88")),
        ("UPDATE entry SET previous_idx = NULL WHERE idx = 10", lambda reader: reader.stream("fsr/s3")),
        ("UPDATE tile SET hashes = x'00' WHERE place = 0", lambda reader: reader.inclusion(0, 600)),
    ],
)
def test_what_is_missing_from_our_own_store_is_our_fault(tmp_path: Path, path: Path, damage: str, ask) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    with logs.unfenced(copy) as db:
        db.execute(damage)
    store = SqliteReader.open(copy)
    with pytest.raises(StoreDamaged):
        ask(Reader(store))
    store.close()
