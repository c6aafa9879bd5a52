"""Evidence that a log showed two histories, in one file that a stranger verifies offline (docs/spec/evidence.md)."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.verification.bundle_format import Sha256, Vkey
from api.verification.bundle_policy import Policy
from api.verification.errors import AnchorMismatch, BundleUnusable
from api.verification.report import Lines, Report
from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.tlog import fork, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.fork import Conviction
from ledger.tlog.merkle import MAX_PROOF_HASHES

FORMAT: Final = "flexledger-evidence/1"
MAX_BYTES: Final = 1 << 20
WITHOUT_POLICY: Final = "no policy was given, so the log's keys are those that the file names itself"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Two signed notes of one log, as they were received, and what shows that they contradict one another."""

    format: Annotated[str, Meta(pattern=r"^flexledger-evidence/1$(?!\n)")]
    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    vkeys: Annotated[tuple[Vkey, ...], Meta(min_length=1, max_length=8)]
    first: Annotated[str, Meta(min_length=1, max_length=65_536)]
    second: Annotated[str, Meta(min_length=1, max_length=65_536)]
    prefix_root: Sha256 | None = None
    """Where the sizes differ: the root of the larger tree's prefix of the smaller size."""
    proof: Annotated[tuple[Sha256, ...], Meta(max_length=MAX_PROOF_HASHES)] = ()


def encode(
    first: bytes,
    second: bytes,
    *,
    origin: str,
    vkeys: Sequence[str],
    prefix_root: bytes | None = None,
    proof: Sequence[bytes] = (),
) -> bytes:
    """The file, once it is known to convict the log; raises as `fork.convict` does."""
    made = Evidence(
        format=FORMAT,
        origin=origin,
        vkeys=tuple(vkeys),
        first=first.decode(),
        second=second.decode(),
        prefix_root=None if prefix_root is None else prefix_root.hex(),
        proof=tuple(item.hex() for item in proof),
    )
    _convict(made, [note.parse_vkey(vkey) for vkey in vkeys])
    return canonical.encode(made)


def read(data: bytes) -> Evidence:
    """The evidence in the file; nothing of it is authentic yet. Raises `BundleUnusable`, `NotCanonical`."""
    if len(data) > MAX_BYTES:
        raise BundleUnusable("the file is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    canonical.decode(data)
    try:
        found = msgspec.json.decode(data, type=Evidence)
    except msgspec.ValidationError as error:
        fault = str(error).partition(", got ")[0]
        raise BundleUnusable("the file does not have the shape of evidence", found=fault) from None
    if canonical.encode(found) != data:
        raise BundleUnusable("a member stands there that says nothing", expected="defaults left out")
    return found


def verify(evidence: Evidence, *, policy: Policy | None = None) -> Report:
    """VERIFIED: the log whose keys are trusted signed two histories. REFUTED: this does not show that."""
    lines = Lines()
    lines.verified("format", f"{evidence.format}, canonical")
    keys = None
    try:
        keys = policy.log_keys() if policy is not None else tuple(note.parse_vkey(vkey) for vkey in evidence.vkeys)
        if keys[0].name != evidence.origin:
            raise AnchorMismatch("another log than the policy's", expected=keys[0].name, found=evidence.origin)
    except LedgerError as error:
        lines.failed("anchors", error)
    except AnchorMismatch as error:
        lines.failed("anchors", error)
        keys = None
    else:
        whose = "the policy's" if policy is not None else "taken from the file itself"
        lines.verified(
            "anchors", f"keys of {evidence.origin}, {whose}: {', '.join(f'{key.key_id:08x}' for key in keys)}"
        )
    if keys is not None:
        lines.attempt("contradiction", lambda: _words(_convict(evidence, keys)))
    subject = f"evidence that {evidence.origin} showed two histories"
    return lines.report(subject, caveat="" if policy is not None else WITHOUT_POLICY)


def _convict(evidence: Evidence, keys: Sequence[note.Verifier]) -> Conviction:
    return fork.convict(
        evidence.first.encode(),
        evidence.second.encode(),
        origin=evidence.origin,
        verifiers=keys,
        prefix_root=None if evidence.prefix_root is None else bytes.fromhex(evidence.prefix_root),
        proof=[bytes.fromhex(item) for item in evidence.proof],
    )


def _words(found: Conviction) -> str:
    smaller, larger = found.smaller, found.larger
    if smaller.size == larger.size:
        return f"for size {smaller.size} the log signed root {_short(smaller)} and root {_short(larger)}"
    return (
        f"for size {smaller.size} the log signed root {_short(smaller)}; its tree of size {larger.size} has root "
        f"{found.prefix_root.hex()[:16]} there"
    )


def _short(head: Checkpoint) -> str:
    return head.root.hex()[:16]
