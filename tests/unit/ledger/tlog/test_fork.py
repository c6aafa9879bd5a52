"""What convicts a log, and what only looks as if it did."""

import pytest

from ledger.tlog import checkpoint, fork, hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import NotContradictory, NoteUnverified, OriginMismatch, ProofInvalid
from ledger.tlog.note import NoteSigner

ORIGIN = "example.com/log"
LOG = NoteSigner.generate(ORIGIN)
LEAVES = [hashing.leaf(bytes([at])) for at in range(20)]
OTHERS = [*LEAVES[:3], *(hashing.leaf(bytes([at, at])) for at in range(3, 20))]


def signed(size: int, leaves: list[bytes] = LEAVES, signer: NoteSigner = LOG) -> bytes:
    return checkpoint.sign(Checkpoint(signer.name, size, merkle.root(leaves[:size])), [signer])


def convict(
    first: bytes, second: bytes, prefix_root: bytes | None = None, proof: list[bytes] | None = None
) -> fork.Conviction:
    return fork.convict(
        first, second, origin=ORIGIN, verifiers=[LOG.verifier], prefix_root=prefix_root, proof=proof or []
    )


def test_two_roots_for_one_size_convict() -> None:
    found = convict(signed(7), signed(7, OTHERS))
    assert (found.smaller.size, found.larger.size) == (7, 7)


@pytest.mark.parametrize("old", [4, 5, 7, 8, 16, 19])
def test_another_prefix_convicts_whichever_note_comes_first(old: int) -> None:
    root = merkle.root(OTHERS[:old])
    proof = merkle.consistency_proof(old, 20, merkle.reader(OTHERS))
    for first, second in ((signed(old), signed(20, OTHERS)), (signed(20, OTHERS), signed(old))):
        found = convict(first, second, root, proof)
        assert (found.smaller.size, found.prefix_root) == (old, root)


@pytest.mark.parametrize("old", [1, 2, 3, 8, 20])
def test_an_honest_log_cannot_be_convicted(old: int) -> None:
    read = merkle.reader(LEAVES)
    honest = merkle.consistency_proof(old, 20, read)
    with pytest.raises(NotContradictory):
        convict(signed(old), signed(20), merkle.root(LEAVES[:old]) if old < 20 else None, honest)
    if old < 20:
        with pytest.raises(NotContradictory):
            convict(signed(old), signed(20))
        for root in (bytes(32), merkle.root(OTHERS[:old]) if old > 3 else hashing.leaf(b"x")):
            with pytest.raises(ProofInvalid):
                convict(signed(old), signed(20), root, honest)


def test_a_prefix_that_both_trees_share_convicts_nobody() -> None:
    proof = merkle.consistency_proof(3, 20, merkle.reader(OTHERS))
    with pytest.raises(NotContradictory):
        convict(signed(3), signed(20, OTHERS), merkle.root(OTHERS[:3]), proof)


def test_the_same_note_twice_and_an_empty_tree_convict_nobody() -> None:
    with pytest.raises(NotContradictory):
        convict(signed(7), signed(7))
    with pytest.raises(NotContradictory):
        convict(signed(0), signed(7), hashing.EMPTY_ROOT)
    with pytest.raises(NotContradictory):
        convict(signed(7), signed(7, OTHERS), merkle.root(OTHERS[:7]))


def test_notes_of_others_convict_nobody() -> None:
    thief, other = NoteSigner.generate(ORIGIN), NoteSigner.generate("example.com/other")
    with pytest.raises(NoteUnverified):
        convict(signed(7), signed(7, OTHERS, thief))
    with pytest.raises(NoteUnverified):
        convict(signed(7), signed(7, OTHERS, other))
    both = checkpoint.sign(Checkpoint("example.com/other", 7, merkle.root(OTHERS[:7])), [LOG])
    with pytest.raises(OriginMismatch):
        convict(signed(7), both)
