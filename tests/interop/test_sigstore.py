"""PyPI sigstore, whose verifier reads Rekor's notes and trees, reads ours and refuses a changed one.

Its public interface wants Rekor's own kinds of entry, so the two modules behind it that know nothing of them are asked.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import LogCheckpoint, SignedNote
from sigstore._utils import KeyID
from sigstore.errors import VerificationError

from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import NoteSigner

ENTRIES = [b"entry %d" % number for number in range(300)]
LEAVES = [hashing.leaf(entry) for entry in ENTRIES]
LOG = NoteSigner.generate("example.com/log")
SIGNED = checkpoint.sign(Checkpoint(LOG.name, 300, merkle.root(LEAVES)), [LOG]).decode()


class Keyring:
    """One Ed25519 key, behind the interface of sigstore's."""

    def verify(self, *, key_id: KeyID, signature: bytes, data: bytes) -> None:
        del key_id
        try:
            LOG.private.public_key().verify(signature, data)
        except InvalidSignature:
            raise VerificationError("wrong signature") from None


def key_id() -> KeyID:
    return KeyID(LOG.verifier.key_id.to_bytes(4, "big"))


def entry(index: int, body: bytes) -> Any:
    read = merkle.reader(LEAVES)
    proof = SimpleNamespace(
        log_index=index, tree_size=300, root_hash=merkle.root(LEAVES), hashes=merkle.inclusion_proof(index, 300, read)
    )
    return SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=body))


def test_sigstore_reads_and_verifies_our_note() -> None:
    note = SignedNote.from_text(SIGNED)
    note.verify(Keyring(), key_id())  # type: ignore[arg-type]
    found = LogCheckpoint.from_text(note.note)
    assert (found.origin, found.log_size, found.log_hash) == (LOG.name, 300, merkle.root(LEAVES).hex())


def test_sigstore_refuses_our_note_with_a_byte_changed() -> None:
    note = SignedNote.from_text(SIGNED.replace("\n300\n", "\n301\n"))
    with pytest.raises(VerificationError):
        note.verify(Keyring(), key_id())  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [0, 1, 127, 128, 255, 256, 298, 299])
def test_sigstore_verifies_our_inclusion_proofs_and_refuses_another_entry(index: int) -> None:
    verify_merkle_inclusion(entry(index, ENTRIES[index]))
    with pytest.raises(VerificationError):
        verify_merkle_inclusion(entry(index, b"another"))
