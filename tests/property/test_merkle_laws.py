"""The algebra of the tree: what holds for every size, index, prefix and bit."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.store.nodes import OpenTiles
from ledger.tlog import hashing, merkle, tiles
from ledger.tlog.errors import ProofInvalid, SizeOutOfRange
from ledger.tlog.frontier import MAX_SIZE

pytestmark = pytest.mark.slow  # takes seconds

MAX_SIZE_HERE = 70
LEAVES = [hashing.leaf(index.to_bytes(2, "big")) for index in range(MAX_SIZE_HERE)]
ROOTS = [merkle.root(LEAVES[:size]) for size in range(MAX_SIZE_HERE + 1)]
READ = merkle.reader(LEAVES)

sizes = st.integers(1, MAX_SIZE_HERE)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word."""
    if not leaves:
        return hashing.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = max(1 << bit for bit in range(len(leaves).bit_length()) if 1 << bit < len(leaves))
    return hashing.node(root_by_definition(leaves[:split]), root_by_definition(leaves[split:]))


def flip(octets: bytes, bit: int) -> bytes:
    at, inside = divmod(bit % (8 * len(octets)), 8)
    return octets[:at] + bytes([octets[at] ^ 1 << inside]) + octets[at + 1 :]


def test_the_root_is_that_of_the_definition_for_every_size() -> None:
    assert [root_by_definition(LEAVES[:size]) for size in range(MAX_SIZE_HERE + 1)] == ROOTS


def test_the_frontier_has_the_root_and_the_nodes_of_the_tree_at_every_size() -> None:
    frontier = merkle.Frontier()
    for index, leaf in enumerate(LEAVES):
        for level, at, node in frontier.append(leaf):
            assert node == READ(level, at)
            assert (at + 1) << level == index + 1
        assert frontier.root() == ROOTS[index + 1]
        assert merkle.Frontier.load(frontier.dump()) == frontier


@given(st.integers(0, 600), st.lists(st.integers(0, 600), max_size=4))
def test_a_tree_that_grows_by_many_leaves_is_the_one_that_grew_by_each(first: int, more: list[int]) -> None:
    leaves = [hashing.leaf(number.to_bytes(2, "big")) for number in range(first + sum(more))]
    one, many = merkle.Frontier(), merkle.Frontier()
    ones, manys = OpenTiles(), OpenTiles()
    done = 0
    for count in (first, *more):
        some = leaves[done : done + count]
        done += count
        full = [tile for leaf in some for tile in ones.add(one.append(leaf))]
        assert manys.grow(many, some) == full
        assert many == one
        assert manys == ones


def test_many_leaves_of_which_one_is_no_hash_are_refused_as_a_whole() -> None:
    frontier = merkle.Frontier(1, LEAVES[:1])
    with pytest.raises(SizeOutOfRange):
        frontier.extend([LEAVES[1], b"short"])
    assert frontier == merkle.Frontier(1, LEAVES[:1])
    with pytest.raises(SizeOutOfRange):
        merkle.Frontier(MAX_SIZE - 1, [LEAVES[0]] * 62).extend(LEAVES[:2])


def test_every_inclusion_proof_up_to_this_size_verifies() -> None:
    for size in range(1, MAX_SIZE_HERE + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, READ)
            merkle.verify_inclusion(proof, index=index, size=size, leaf_hash=LEAVES[index], root=ROOTS[size])


def test_every_consistency_proof_up_to_this_size_verifies() -> None:
    for old, new in itertools.combinations_with_replacement(range(1, MAX_SIZE_HERE + 1), 2):
        proof = merkle.consistency_proof(old, new, READ)
        merkle.verify_consistency(proof, old_size=old, new_size=new, old_root=ROOTS[old], new_root=ROOTS[new])


@settings(deadline=None)
@given(size=sizes, data=st.data())
def test_a_flipped_bit_anywhere_in_an_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    parts = [LEAVES[index], ROOTS[size], *merkle.inclusion_proof(index, size, READ)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flip(parts[which], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion(parts[2:], index=index, size=size, leaf_hash=parts[0], root=parts[1])


@settings(deadline=None)
@given(new=sizes, data=st.data())
def test_a_flipped_bit_anywhere_in_a_consistency_proof_is_refused(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    parts = [ROOTS[old], ROOTS[new], *merkle.consistency_proof(old, new, READ)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flip(parts[which], data.draw(st.integers(0, 255)))
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency(parts[2:], old_size=old, new_size=new, old_root=parts[0], new_root=parts[1])


@settings(deadline=None)
@given(size=sizes, data=st.data())
def test_a_proof_shorter_or_longer_by_one_hash_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, READ)
    extra = data.draw(st.binary(min_size=32, max_size=32))
    for wrong in ([*proof, extra], [extra, *proof], proof[:-1] if proof else [extra]):
        with pytest.raises(ProofInvalid):
            merkle.verify_inclusion(wrong, index=index, size=size, leaf_hash=LEAVES[index], root=ROOTS[size])


@settings(deadline=None)
@given(size=sizes, data=st.data())
def test_a_leaf_is_refused_at_every_other_index(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size + 2))
    proof = merkle.inclusion_proof(index, size, READ)
    if other == index:
        merkle.verify_inclusion(proof, index=other, size=size, leaf_hash=LEAVES[index], root=ROOTS[size])
        return
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion(proof, index=other, size=size, leaf_hash=LEAVES[index], root=ROOTS[size])


@settings(max_examples=25, deadline=None)
@given(size=st.one_of(st.integers(0, 700), st.sampled_from([255, 256, 257, 511, 512, 513, 65536, 65537])))
def test_a_written_log_reads_back_as_its_entries_tree_and_root(size: int) -> None:
    entries = [index.to_bytes(3, "big") for index in range(size)]
    files: dict[str, bytes] = {}
    frontier = tiles.write_tree(entries, files.__setitem__)
    expected = merkle.root([hashing.leaf(entry) for entry in entries])
    assert frontier.size == size
    assert frontier.root() == expected
    assert set(files) == {tile.path for tile in (*tiles.tiles_for(size), *tiles.bundles_for(size))}
    log = tiles.TileReader(files.__getitem__, size, root=expected)
    assert log.root() == expected
    for index in {0, size // 2, size - 1} if size else set():
        assert log.entry(index) == entries[index]
        proof = merkle.inclusion_proof(index, size, log.read)
        merkle.verify_inclusion(proof, index=index, size=size, leaf_hash=hashing.leaf(entries[index]), root=expected)


@settings(deadline=None)
@given(entries=st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_a_bundle_reads_back_as_its_entries(entries: list[bytes]) -> None:
    assert tiles.decode_bundle(tiles.encode_bundle(entries), len(entries)) == tuple(entries)


@settings(deadline=None)
@given(level=st.one_of(st.none(), st.integers(0, 63)), index=st.integers(0, 2**55 - 1), width=st.integers(1, 256))
def test_a_path_reads_back_as_its_tile(level: int | None, index: int, width: int) -> None:
    tile = tiles.Tile(level, index, width)
    assert tiles.parse_path(tile.path) == tile
