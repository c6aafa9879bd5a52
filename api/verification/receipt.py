"""Verifying one receipt offline: that one entry is in a log, as of a checkpoint (c2sp.org/tlog-proof, RFC 9942)."""

from typing import Final

from api.verification import cose_receipt
from api.verification.bundle_errors import EvidenceAbsent
from api.verification.bundle_log import witnessed
from api.verification.bundle_policy import Policy
from api.verification.errors import BundleUnusable
from api.verification.report import Lines, Report, counted
from ledger.errors import LedgerError, Refused
from ledger.records import entry as entries
from ledger.records.entry import MAX_ENTRY_BYTES, Entry
from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog import proof as tlog_proof
from ledger.tlog.checkpoint import OpenedCheckpoint
from ledger.tlog.proof import TlogProof

MAX_BYTES: Final = tlog_proof.MAX_TLOG_PROOF_OCTETS
MARK: Final = tlog_proof.HEADER.encode() + b"\n"


class EntryElsewhere(Refused):
    """The entry says that it belongs to another log than the one whose checkpoint is shown."""

    code = "verify/entry-elsewhere"
    title = "Entry of another log"


def is_tlog_proof(data: bytes) -> bool:
    """Whether the file begins as a tlog-proof does."""
    return data.startswith(MARK)


def verify_tlog_proof(data: bytes, *, policy: Policy | None, entry: bytes | None = None) -> Report:
    """What holds of a receipt: the log's signature, the witnesses, the path of the entry, and whose words it holds.

    The entry is the receipt's extra data unless it is handed in. Raises `BundleUnusable` without an entry, or
    without a policy, for a receipt names no key; ProofMalformed, NoteMalformed for what is no tlog-proof.
    """
    parsed = tlog_proof.parse(data)
    if policy is None:
        raise BundleUnusable(
            "a receipt names no key, so only a policy can say whose it must be", expected="--policy FILE"
        )
    leaf = parsed.extra if entry is None else entry
    if leaf is None:
        raise BundleUnusable("the receipt does not bring its entry along", expected="--entry FILE")
    lines = Lines()
    lines.verified("format", f"{tlog_proof.HEADER}, entry {parsed.index}")
    opened = _checkpoint(parsed, policy, lines)
    where: dict[str, str | int] = {"index": parsed.index}
    if opened is not None:
        head = opened.checkpoint
        lines.attempt("inclusion", lambda: _included(parsed, leaf, head.size, head.root), **where)
        lines.attempt("entry", lambda: _entry(leaf, head.origin), **where)
    return lines.report(f"receipt of entry {parsed.index}")


def verify_cose(data: bytes, *, policy: Policy | None, entry: bytes | None) -> Report:
    """The same for a COSE receipt, which never brings its entry along, and no cosignatures either.

    Raises `BundleUnusable` without a policy or an entry; ReceiptMalformed, CborMissing.
    """
    parsed = cose_receipt.parse(data)
    if policy is None:
        raise BundleUnusable(
            "a receipt names no key, so only a policy can say whose it must be", expected="--policy FILE"
        )
    if entry is None:
        raise BundleUnusable("a COSE receipt does not bring its entry along", expected="--entry FILE")
    lines = Lines()
    lines.verified("format", f"COSE receipt (RFC 9942), entry {parsed.index}")
    where: dict[str, str | int] = {"index": parsed.index}

    def look() -> str:
        keys = policy.log_keys()
        cose_receipt.open_receipt(data, entry=entry, origin=keys[0].name, verifiers=keys)
        return f"the entry stands at {parsed.index} in the tree of {parsed.size}, whose root the log signed"

    lines.attempt("inclusion", look, **where)
    lines.attempt("entry", lambda: _entry(entry, parsed.origin), **where)
    if policy.witnesses:
        lines.attempt("witnesses", lambda: _no_cosignatures(policy))
    return lines.report(f"receipt of entry {parsed.index}")


def _no_cosignatures(policy: Policy) -> str:
    asked = policy.witnessing()
    if asked is not None and asked.quorum is not None:
        raise EvidenceAbsent("a COSE receipt carries no cosignatures; ask for a tlog-proof")
    return "no cosignature is needed"


def _checkpoint(parsed: TlogProof, policy: Policy, lines: Lines) -> OpenedCheckpoint | None:
    try:
        origin = policy.log_keys()[0].name
        opened = checkpoint.open_checkpoint(parsed.checkpoint_note, origin, policy.verifiers())
    except LedgerError as error:
        lines.failed("checkpoint", error)
        return None
    head = opened.checkpoint
    lines.verified("checkpoint", f"signed by {head.origin}: {counted(head.size, 'entry')}, root {head.root.hex()[:16]}")
    if policy.witnesses:
        lines.attempt("witnesses", lambda: witnessed(opened, policy))
    return opened


def _included(parsed: TlogProof, leaf: bytes, size: int, root: bytes) -> str:
    if len(leaf) > MAX_ENTRY_BYTES:
        raise BundleUnusable("no entry is that large", expected=f"at most {MAX_ENTRY_BYTES} bytes", found=len(leaf))
    merkle.verify_inclusion(parsed.proof, index=parsed.index, size=size, leaf_hash=hashing.leaf(leaf), root=root)
    return f"the entry stands at {parsed.index} in the tree of {size}"


def _entry(leaf: bytes, origin: str) -> str:
    found: Entry = entries.decode(leaf)
    if found.log != origin:
        raise EntryElsewhere("the entry belongs to another log", expected=origin, found=found.log)
    return f"{found.type} of {found.sub.party} ({found.sub.role}), number {found.seq} of {found.stream}"
