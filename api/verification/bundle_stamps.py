"""Time stamps in a bundle: entries that a stamped checkpoint covers existed before a time that a stranger said.

Every byte of a stamp is bound: the note's root to the bundle's tree by a consistency proof, its lines by the imprint,
the token by its signature, and a token holds nothing that is not signed or needed for its path.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.errors import ApiError, Refused
from api.verification.bundle_errors import EvidenceSurplus
from api.verification.bundle_format import Bundle, Stamp
from api.verification.bundle_policy import Policy
from api.verification.errors import BundleUnusable
from api.verification.report import Lines, Status
from api.verification.timestamps import imprint
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, merkle, note
from ledger.tlog.checkpoint import Checkpoint
from pki import timestamp
from pki.errors import PkiError

CHECK: Final = "time stamp"
UNVOUCHED: Final = "verify/timestamp-unvouched"


class StampForeign(Refused):
    """A stamped checkpoint that is not one of this log, or is larger than the bundle's."""

    code = "verify/timestamp-foreign"
    title = "Time stamp of another checkpoint"


def check(bundle: Bundle, head: Checkpoint | None, policy: Policy | None, lines: Lines) -> None:
    """A line for each stamp: up to which entry the bundle is older than what time."""
    try:
        named = [x509.load_der_x509_certificate(der) for der in bundle.anchors.timestamp_roots]
        trusted = named if policy is None else policy.timestamp_authorities()
    except (BundleUnusable, ValueError) as error:
        lines.failed(CHECK, _coded(error))
        return
    indices = [one.index for one in bundle.entries]
    covered, used = 0, set[bytes]()
    for position, stamp in enumerate(bundle.timestamps):
        where: dict[str, str | int] = {"list": "timestamps", "position": position}
        if head is None:
            return
        try:
            size = _bound(stamp, head)
            more = sum(index < size for index in indices)
            if more <= covered:
                raise EvidenceSurplus("no entry of the bundle is newly covered by it")
            covered = more
            used |= _anchors_of(stamp, named)
            if not trusted:
                lines.add(CHECK, Status.UNDECIDED, UNVOUCHED, "the policy names no time-stamping authority", **where)
                continue
            found = timestamp.verify_token(stamp.token, imprint=imprint(stamp.checkpoint.encode()), roots=trusted)
        except (LedgerError, PkiError, ApiError, ValueError) as error:
            lines.failed(CHECK, _coded(error), **where)
            continue
        last = max(index for index in indices if index < size)
        moment = dt.datetime.fromtimestamp(found.at_ms / 1000, tz=dt.UTC).isoformat(timespec="milliseconds")
        whole = "everything here" if covered == len(indices) else f"what stands here up to entry {last}"
        lines.verified(CHECK, f"{whole} existed at {moment}, says {found.authority}", **where)
    for place, root in enumerate(named):
        if head is not None and root.public_bytes(Encoding.DER) not in used:
            idle = EvidenceSurplus("no stamp leads to this authority")
            lines.failed(CHECK, idle, list="anchors.timestamp_roots", position=place)


def _bound(stamp: Stamp, head: Checkpoint) -> int:
    """The size of the stamped tree, which is a beginning of the bundle's."""
    then = checkpoint.parse(note.parse_text(stamp.checkpoint.encode()))
    # What is stamped is what the log signed; a line more, or one twice, would be free.
    own = "".join(line.line() for line in note.parse(stamp.checkpoint.encode()).signatures if line.name == head.origin)
    if stamp.checkpoint != then.text() + "\n" + own:
        raise StampForeign("not the checkpoint as its log signed it", expected=head.origin)
    if then.origin != head.origin or not 0 < then.size <= head.size:
        raise StampForeign("not a checkpoint below the bundle's", expected=f"at most {head.size}", found=then.size)
    proof = [bytes.fromhex(one) for one in stamp.consistency]
    merkle.verify_consistency(proof, old_size=then.size, new_size=head.size, old_root=then.root, new_root=head.root)
    return then.size


def _anchors_of(stamp: Stamp, named: Sequence[x509.Certificate]) -> set[bytes]:
    """The roots of the bundle to which the token leads; raises unless the token holds just what that needs."""
    if timestamp.minimal(stamp.token, roots=named) != stamp.token:
        raise EvidenceSurplus("the token holds more than it needs")
    digest = imprint(stamp.checkpoint.encode())
    timestamp.verify_token(stamp.token, imprint=digest, roots=named)
    return {timestamp.anchor_of(stamp.token, roots=named).public_bytes(Encoding.DER)}


def _coded(error: LedgerError | PkiError | ApiError | ValueError) -> LedgerError | PkiError | ApiError:
    if isinstance(error, ValueError):
        return BundleUnusable("an authority of the bundle is not a certificate")
    return error
