"""pymerkle, an independent implementation of RFC 9162 trees, finds the same roots."""

import pytest

from ledger.tlog import hashing, merkle

pymerkle = pytest.importorskip("pymerkle", reason="pymerkle is not installed")


def test_pymerkle_finds_the_same_root_at_every_size() -> None:
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    ours = merkle.Frontier()
    leaves: list[bytes] = []
    for index in range(300):
        entry = f"entry {index}".encode()
        theirs.append_entry(entry)
        leaves.append(hashing.leaf(entry))
        ours.append(leaves[-1])
        assert theirs.get_root() == ours.root() == merkle.root(leaves)
