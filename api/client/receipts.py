"""The receipt of a statement: from here on the client can prove, offline and for ever, that the log has it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from api.client.errors import ReceiptMismatch
from api.wire import Accepted
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records.entry import Entry
from ledger.records.statement import Signed
from ledger.tlog import hashing, note, proof
from ledger.tlog.proof import OpenedProof


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the service answered to a statement. `proven` is None while no checkpoint covers the entry."""

    index: int
    leaf_hash: bytes
    stream: str
    seq: int
    rec_ms: int
    tree_size: int
    duplicate: bool
    jti: str
    proof: bytes | None = None
    """The c2sp.org/tlog-proof as it came; keep it with `entry_bytes`."""
    entry_bytes: bytes | None = None
    entry: Entry | None = None
    proven: OpenedProof | None = None

    def checkpoint_note(self) -> bytes:
        """The signed checkpoint that the proof leads to; raises `ReceiptMismatch` where there is no proof."""
        if self.proof is None:
            raise ReceiptMismatch("the answer brought no proof", index=self.index)
        return proof.parse(self.proof).checkpoint_note


def unproven(accepted: Accepted, signed: Signed) -> Receipt:
    """The receipt of an answer without proof; raises `ReceiptMismatch` if it is for another stream."""
    if accepted.stream != signed.stream:
        raise ReceiptMismatch("the answer names another stream", expected=signed.stream, found=accepted.stream)
    return Receipt(
        index=accepted.index,
        leaf_hash=bytes.fromhex(accepted.leaf_hash),
        stream=accepted.stream,
        seq=accepted.seq,
        rec_ms=accepted.rec_ms,
        tree_size=accepted.tree_size,
        duplicate=accepted.duplicate,
        jti=signed.jti,
        proof=None if accepted.receipt is None else accepted.receipt.encode(),
    )


def entry_in(receipt: Receipt) -> bytes | None:
    """The entry's bytes if the proof brings them along as its extra data; whoever uses them checks their hash."""
    return None if receipt.proof is None else proof.parse(receipt.proof).extra


def open_receipt(
    receipt: Receipt, entry_bytes: bytes, signed: Signed, *, origin: str, verifiers: Sequence[note.Verifier]
) -> Receipt:
    """The receipt with its proof checked: the log's signed tree has, at the index, an entry with our very statement.

    Raises `ReceiptMismatch` where entry and answer are not ours, and what `proof.open_proof` raises.
    """
    if receipt.proof is None:
        raise ReceiptMismatch("the answer brought no proof", index=receipt.index)
    if hashing.leaf(entry_bytes) != receipt.leaf_hash:
        raise ReceiptMismatch("the entry has another leaf hash than the answer", index=receipt.index)
    try:
        entry = entries.decode(entry_bytes)
    except LedgerError as error:
        raise ReceiptMismatch("the entry is malformed", found=error.code, index=receipt.index) from error
    for name, expected, found in (
        ("statement", signed.raw, entry.stmt),
        ("log", origin, entry.log),
        ("stream", receipt.stream, entry.stream),
        ("seq", receipt.seq, entry.seq),
        ("rec", receipt.rec_ms, entry.rec),
    ):
        if expected != found:
            raise ReceiptMismatch("the entry differs from what was sent or answered", index=receipt.index, member=name)
    proven = proof.open_proof(receipt.proof, leaf_hash=receipt.leaf_hash, origin=origin, verifiers=verifiers)
    if proven.index != receipt.index:
        raise ReceiptMismatch("the proof is for another index", expected=receipt.index, found=proven.index)
    return replace(receipt, entry_bytes=entry_bytes, entry=entry, proven=proven)
