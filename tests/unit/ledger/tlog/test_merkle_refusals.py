"""What the tree refuses: sizes, indexes and hashes that no tree has."""

import pytest

from ledger.tlog import hashing, merkle
from ledger.tlog.errors import FrontierMalformed, ProofInvalid, SizeOutOfRange

LEAVES = [hashing.leaf(bytes([at])) for at in range(7)]
READ = merkle.reader(LEAVES)
ROOT = merkle.root(LEAVES)


def grown(size: int) -> merkle.Frontier:
    frontier = merkle.Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    return frontier


def test_leaf_and_node_of_the_same_bytes_differ() -> None:
    assert hashing.leaf(LEAVES[0] + LEAVES[1]) != hashing.node(LEAVES[0], LEAVES[1])


def test_the_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert merkle.root([]) == merkle.Frontier().root() == merkle.root_at(0, READ) == hashing.EMPTY_ROOT


@pytest.mark.parametrize("index", [-1, 7, 8])
def test_a_proof_for_a_leaf_outside_the_tree_is_refused(index: int) -> None:
    with pytest.raises(SizeOutOfRange) as refused:
        merkle.inclusion_proof(index, 7, READ)
    assert refused.value.code == "ledger/size-out-of-range"


@pytest.mark.parametrize(("old", "new"), [(-1, 7), (8, 7), (0, 2**63), (0, -1)])
def test_a_proof_between_sizes_that_do_not_fit_is_refused(old: int, new: int) -> None:
    with pytest.raises(SizeOutOfRange):
        merkle.consistency_proof(old, new, READ)


def test_no_proof_is_needed_from_the_empty_tree_or_to_itself() -> None:
    assert merkle.consistency_proof(0, 7, READ) == merkle.consistency_proof(7, 7, READ) == []


@pytest.mark.parametrize(("level", "index"), [(-1, 0), (0, -1), (0, 7), (3, 0), (1, 3)])
def test_a_subtree_that_is_not_complete_is_not_read(level: int, index: int) -> None:
    with pytest.raises(SizeOutOfRange):
        READ(level, index)


@pytest.mark.parametrize(("index", "size"), [(-1, 7), (7, 7), (0, 0), (0, 2**63)])
def test_an_index_outside_the_tree_is_no_inclusion(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion([], index=index, size=size, leaf_hash=LEAVES[0], root=ROOT)


@pytest.mark.parametrize("sizes", [(0, 7), (7, 6), (-1, 7), (1, 2**63)])
def test_sizes_out_of_order_are_no_consistency(sizes: tuple[int, int]) -> None:
    with pytest.raises(ProofInvalid):
        merkle.verify_consistency([], old_size=sizes[0], new_size=sizes[1], old_root=ROOT, new_root=ROOT)


def test_a_proof_of_hashes_that_are_too_short_is_refused() -> None:
    proof = merkle.inclusion_proof(0, 7, READ)
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion([proof[0][:31], *proof[1:]], index=0, size=7, leaf_hash=LEAVES[0], root=ROOT)
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion(proof, index=0, size=7, leaf_hash=LEAVES[0][:31], root=ROOT)


def test_a_refused_proof_says_which_root_was_expected_and_which_was_found() -> None:
    proof = merkle.inclusion_proof(0, 7, READ)
    with pytest.raises(ProofInvalid) as refused:
        merkle.verify_inclusion(proof, index=0, size=7, leaf_hash=LEAVES[1], root=ROOT)
    assert refused.value.code == "ledger/proof-invalid"
    assert refused.value.expected == ROOT.hex()
    assert refused.value.found not in {None, ROOT.hex()}


def test_the_largest_tree_has_proofs_within_the_limit() -> None:
    same = hashing.leaf(b"")
    size = merkle.MAX_SIZE
    assert len(merkle.inclusion_proof(0, size, lambda _level, _index: same)) == merkle.MAX_PROOF_HASHES


def test_a_proof_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(ProofInvalid):
        merkle.verify_inclusion([ROOT] * 64, index=0, size=merkle.MAX_SIZE, leaf_hash=ROOT, root=ROOT)


def test_appending_to_a_copy_leaves_the_frontier_as_it_was() -> None:
    frontier = grown(5)
    copy = frontier.copy()
    copy.append(LEAVES[5])
    assert (frontier.size, frontier.root()) == (5, merkle.root(LEAVES[:5]))
    assert (copy.size, copy.root()) == (6, merkle.root(LEAVES[:6]))
    assert frontier != copy
    assert frontier == grown(5)
    assert frontier != "a frontier"
    assert len(copy.edge) == 2


def test_what_is_not_a_hash_is_not_appended() -> None:
    frontier = grown(3)
    with pytest.raises(SizeOutOfRange):
        frontier.append(b"short")
    assert frontier == grown(3)


def test_a_full_tree_takes_no_more() -> None:
    frontier = merkle.Frontier(merkle.MAX_SIZE, [ROOT] * 63)
    with pytest.raises(SizeOutOfRange):
        frontier.append(ROOT)


@pytest.mark.parametrize("size", range(8))
def test_a_frontier_reads_back_as_it_was_written(size: int) -> None:
    frontier = grown(size)
    data = frontier.dump()
    assert len(data) == 8 + 32 * size.bit_count()
    assert merkle.Frontier.load(data) == frontier


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 7, (1).to_bytes(8, "big"), bytes(8) + ROOT, (2**63).to_bytes(8, "big") + ROOT],
    ids=["nothing", "half a size", "no hash", "a hash too many", "no such size"],
)
def test_a_stored_frontier_that_cannot_be_one_is_broken(data: bytes) -> None:
    with pytest.raises(FrontierMalformed) as broken:
        merkle.Frontier.load(data)
    assert broken.value.code == "ledger/frontier-malformed"


@pytest.mark.parametrize(("size", "edge"), [(-1, []), (2**63, [ROOT]), (3, [ROOT]), (1, [b"short"])])
def test_an_edge_that_no_tree_has_is_broken(size: int, edge: list[bytes]) -> None:
    with pytest.raises(FrontierMalformed):
        merkle.Frontier(size, edge)
