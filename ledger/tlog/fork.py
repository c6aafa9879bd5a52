"""Two checkpoints of one log that cannot both be true, shown to somebody who trusts neither us nor the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.tlog import checkpoint, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import NotContradictory
from ledger.tlog.notekeys import Verifier


@dataclass(frozen=True, slots=True)
class Conviction:
    """What a log signed and what it also signed, smaller tree first; the larger one has another root at that size."""

    smaller: Checkpoint
    larger: Checkpoint
    prefix_root: bytes
    """The root of the larger tree's first `smaller.size` leaves."""


def convict(
    first: bytes,
    second: bytes,
    *,
    origin: str,
    verifiers: Sequence[Verifier],
    prefix_root: bytes | None = None,
    proof: Sequence[bytes] = (),
) -> Conviction:
    """The contradiction, once it is one: both notes are the log's own, and no one history has both.

    Two roots for one size need nothing else. Where the sizes differ, `proof` shows that the larger tree's prefix of the
    smaller size has `prefix_root`, which is not the root that the log signed for it. That a proof fails convicts
    nobody, for anyone can make one that does. Raises NotContradictory, ProofInvalid, and what
    `checkpoint.open_checkpoint` raises.
    """
    smaller, larger = sorted(
        (checkpoint.open_checkpoint(note, origin, verifiers).checkpoint for note in (first, second)),
        key=lambda head: head.size,
    )
    if smaller.size == larger.size:
        if prefix_root is not None or proof:
            raise NotContradictory("a proof where the sizes are equal", size=smaller.size)
        if smaller.root == larger.root:
            raise NotContradictory("one root for one size", size=smaller.size)
        return Conviction(smaller, larger, larger.root)
    if prefix_root is None or smaller.size == 0:
        raise NotContradictory("two sizes and no proof of another prefix", expected="prefix_root", size=smaller.size)
    merkle.verify_consistency(
        proof, old_size=smaller.size, new_size=larger.size, old_root=prefix_root, new_root=larger.root
    )
    if prefix_root == smaller.root:
        raise NotContradictory("the smaller tree is a prefix of the larger", size=smaller.size)
    return Conviction(smaller, larger, prefix_root)
