"""Tiles: names, framing, and a reader that names what is wrong."""

import gzip

import pytest

from ledger.errors import Absent
from ledger.tlog import hashing, layout, merkle, tiles
from ledger.tlog.errors import EntryTooLarge, SizeOutOfRange, TileMalformed, TileMismatch

SIZE = 600
ENTRIES = [f"entry {index}".encode() for index in range(SIZE)]


class Files(dict[str, bytes]):
    """A log in memory; counts what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.frontier = tiles.write_tree(ENTRIES, self.__setitem__)

    def fetch(self, path: str) -> bytes:
        self.fetched.append(path)
        if path not in self:
            raise Absent("no such file", path=path)
        return self[path]

    def reader(self, *, size: int = SIZE) -> tiles.TileReader:
        root = merkle.root([hashing.leaf(entry) for entry in ENTRIES[:size]])
        return tiles.TileReader(self.fetch, size, root=root)

    def flip(self, path: str, at: int = 0) -> None:
        data = self[path]
        self[path] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 1067, 8, "tile/0/x001/067.p/8"),
        (1, 1234067, 256, "tile/1/x001/x234/067"),
        (None, 1234067, 255, "tile/entries/x001/x234/067.p/255"),
        (63, 999, 1, "tile/63/999.p/1"),
    ],
)
def test_a_path_is_as_the_specification_writes_it(level: int | None, index: int, width: int, path: str) -> None:
    written = tiles.entries_path(index, width) if level is None else tiles.tile_path(level, index, width)
    assert written == path
    assert tiles.parse_path(path) == tiles.Tile(level, index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/tile/0/000",
        "tile/0/0",
        "tile/0/00",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/../../secret",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 100 + "999",
    ],
)
def test_what_is_not_the_path_of_a_tile_is_refused(path: str) -> None:
    with pytest.raises(TileMalformed) as refused:
        tiles.parse_path(path)
    assert refused.value.code == "ledger/tile-malformed"


@pytest.mark.parametrize("tile", [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 2**55, 1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_no_tree_has_is_refused(tile: tuple[int, int, int]) -> None:
    with pytest.raises(SizeOutOfRange):
        tiles.tile_path(*tile)


def test_the_tiles_of_a_tree_are_those_of_the_specifications_example() -> None:
    found = list(tiles.tiles_for(70_000))
    widths = [(tile.level, tile.width) for tile in found]
    assert widths.count((0, 256)) == 273
    assert [width for width in widths if width[1] < 256] == [(0, 112), (1, 17), (2, 1)]
    assert widths.count((1, 256)) == 1
    assert len(found) == 277
    assert [tile.path for tile in tiles.tiles_for(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert list(tiles.tiles_for(0)) == list(tiles.bundles_for(0)) == []


@pytest.mark.parametrize("size", [-1, 2**63])
def test_a_size_that_no_tree_has_is_refused(size: int) -> None:
    for act in (tiles.tiles_for, tiles.bundles_for):
        with pytest.raises(SizeOutOfRange):
            list(act(size))
    with pytest.raises(SizeOutOfRange):
        tiles.TileReader(dict[str, bytes]().__getitem__, size)


def test_the_longest_entry_fits_and_one_octet_more_does_not() -> None:
    longest = bytes(tiles.MAX_ENTRY_OCTETS)
    assert tiles.decode_bundle(tiles.encode_bundle([longest]), 1) == (longest,)
    with pytest.raises(EntryTooLarge) as refused:
        tiles.encode_bundle([b"", longest + b"\x00"])
    assert refused.value.code == "ledger/entry-too-large"
    assert refused.value.where == {"at": 1}


@pytest.mark.parametrize("count", [0, 257])
def test_a_bundle_has_1_to_256_entries(count: int) -> None:
    with pytest.raises(TileMalformed):
        tiles.encode_bundle([b""] * count)
    with pytest.raises(TileMalformed):
        tiles.decode_bundle(bytes(2 * count), count)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x03ab", b"\x00\x01a", b"\x00\x01a\x00", b"\x00\x01a\x00\x01b\x00"]
)
def test_a_bundle_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(TileMalformed):
        tiles.decode_bundle(data, 2)


def test_a_compressed_bundle_is_read(files: Files) -> None:
    for path in list(files):
        if "entries" in path:
            files[path] = gzip.compress(files[path])
    log = files.reader()
    assert [log.entry(index) for index in range(SIZE)] == ENTRIES


def test_a_plain_bundle_that_begins_like_gzip_is_read() -> None:
    entry = bytes(0x1F8B)
    assert tiles.read_bundle(tiles.encode_bundle([entry]), 1) == (entry,)


def test_a_compressed_bundle_that_swells_beyond_the_limit_is_refused() -> None:
    swollen = gzip.compress(bytes(layout.MAX_BUNDLE_OCTETS + 1), compresslevel=1)
    with pytest.raises(TileMalformed) as refused:
        tiles.read_bundle(swollen, 1)
    assert refused.value.detail == "not one gzip member of a bundle"


def test_the_longest_compressed_bundle_is_read() -> None:
    entries = [bytes(tiles.MAX_ENTRY_OCTETS)] * 256
    packed = gzip.compress(tiles.encode_bundle(entries), compresslevel=1)
    assert tiles.read_bundle(packed, 256) == tuple(entries)


PACKED = gzip.compress(tiles.encode_bundle([b"a", b"b"]))


@pytest.mark.parametrize(
    "data", [PACKED[:-9], PACKED + b"x", PACKED[:2] + b"no gzip", b"no bundle"], ids=["cut", "longer", "gzip", "plain"]
)
def test_a_damaged_compressed_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(TileMalformed):
        tiles.read_bundle(data, 2)


def test_a_log_reads_back_entry_by_entry(files: Files) -> None:
    log = files.reader()
    assert log.size == SIZE
    assert [log.entry(index) for index in range(SIZE)] == ENTRIES
    assert log.root() == files.frontier.root()


def test_a_tile_is_fetched_once(files: Files) -> None:
    log = files.reader()
    for index in range(SIZE):
        log.entry(index)
    assert sorted(files.fetched) == sorted(files)


def test_old_tiles_make_room_and_are_fetched_and_compared_again(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "CACHED_TILES", 1)
    monkeypatch.setattr(tiles, "CACHED_BUNDLES", 1)
    log = files.reader()
    for index in (0, 300, 599, 0):
        assert log.entry(index) == ENTRIES[index]
    files.flip("tile/0/001")
    with pytest.raises(TileMismatch):
        log.entry(300)


def test_without_a_root_nothing_but_the_lengths_is_compared(files: Files) -> None:
    files.flip("tile/0/000")
    log = tiles.TileReader(files.fetch, SIZE)
    assert log.read(0, 0) != hashing.leaf(ENTRIES[0])
    assert files.fetched == ["tile/0/000"]
    with pytest.raises(TileMismatch):
        log.entry(0)


def test_a_flipped_tile_byte_is_refused_and_the_tile_named(files: Files) -> None:
    files.flip("tile/0/001", at=8191)
    log = files.reader()
    assert log.entry(0) == ENTRIES[0]
    with pytest.raises(TileMismatch) as refused:
        log.entry(300)
    assert refused.value.code == "ledger/tile-mismatch"
    assert refused.value.where == {"path": "tile/0/001"}


@pytest.mark.parametrize("path", ["tile/0/002.p/88", "tile/1/000.p/2"])
def test_a_flipped_byte_in_a_partial_tile_leads_to_another_root(files: Files, path: str) -> None:
    files.flip(path)
    with pytest.raises(TileMismatch) as refused:
        files.reader().read(0, 0)
    assert refused.value.expected == files.frontier.root().hex()


def test_a_flipped_entry_byte_is_refused_and_the_entry_named(files: Files) -> None:
    files.flip("tile/entries/001", at=2)
    with pytest.raises(TileMismatch) as refused:
        files.reader().entry(400)
    assert refused.value.where == {"index": 256}


@pytest.mark.parametrize("length", [-32, -1, 1, 32])
def test_a_tile_of_another_length_is_refused(files: Files, length: int) -> None:
    whole = files["tile/0/000"]
    files["tile/0/000"] = whole[:length] if length < 0 else whole + bytes(length)
    with pytest.raises(TileMalformed):
        files.reader().read(0, 0)


def test_a_full_tile_stands_in_for_a_partial_one_that_is_gone(files: Files) -> None:
    assert "tile/0/001.p/44" not in files
    files["tile/1/000.p/1"] = files["tile/1/000.p/2"][:32]
    older = files.reader(size=300)
    assert older.entry(299) == ENTRIES[299]
    with pytest.raises(SizeOutOfRange):
        older.entry(300)


def test_a_full_tile_of_the_wrong_length_does_not_stand_in(files: Files) -> None:
    files["tile/1/000.p/1"] = files["tile/1/000.p/2"][:32]
    files["tile/0/001"] = files["tile/0/001"][:-32]
    with pytest.raises(TileMalformed):
        files.reader(size=300).read(0, 299)


def test_a_tile_that_is_nowhere_is_absent(files: Files) -> None:
    del files["tile/0/002.p/88"]
    with pytest.raises(Absent):
        files.reader().read(0, 599)
    del files["tile/entries/000"]
    with pytest.raises(Absent):
        tiles.TileReader(files.fetch, SIZE).entry(0)


@pytest.mark.parametrize(
    ("level", "index"), [(-1, 0), (0, -1), (0, SIZE), (9, 1), (10, 0), (3, 75), (64, 0), (10**12, 0)]
)
def test_a_subtree_outside_the_tree_is_not_read(files: Files, level: int, index: int) -> None:
    with pytest.raises(SizeOutOfRange):
        files.reader().read(level, index)
    assert files.fetched == []


@pytest.mark.parametrize("index", [-1, SIZE])
def test_an_entry_outside_the_tree_is_not_read(files: Files, index: int) -> None:
    with pytest.raises(SizeOutOfRange):
        files.reader().entry(index)


def test_a_bundle_outside_the_tree_is_not_read(files: Files) -> None:
    with pytest.raises(SizeOutOfRange):
        files.reader().bundle(3)


def test_an_empty_log_has_no_files_and_the_empty_root() -> None:
    written: dict[str, bytes] = {}
    assert tiles.write_tree([], written.__setitem__).root() == hashing.EMPTY_ROOT
    assert written == {}
    assert tiles.TileReader(written.__getitem__, 0, root=hashing.EMPTY_ROOT).root() == hashing.EMPTY_ROOT


def test_no_tile_is_put_before_those_beneath_it() -> None:
    order: list[str] = []
    tiles.write_tree((b"" for _ in range(65_537)), lambda path, _data: order.append(path))
    assert len(order) == len(set(order))
    assert order.index("tile/0/255") < order.index("tile/1/000") < order.index("tile/2/000.p/1")
    assert order.index("tile/entries/255") < order.index("tile/0/255")
