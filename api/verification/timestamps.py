"""Time stamps over checkpoints: what the tree of that size holds existed before a time that a stranger said."""

import datetime as dt
import hashlib
from collections.abc import Sequence

from cryptography import x509

from api.verification.bundle_log import witnessed
from api.verification.bundle_policy import Policy
from api.verification.errors import BundleUnusable
from api.verification.report import Lines, Report, counted
from ledger.errors import LedgerError
from ledger.tlog import checkpoint, note
from pki import timestamp
from pki.asn1 import timestamp as asn1
from pki.asn1.der import MalformedDer

WITHOUT_POLICY = "no policy was given, so nobody said whose signature the checkpoint has"


def imprint(signed: bytes) -> bytes:
    """SHA-256 of the checkpoint as its log signed it: text, empty line, the lines whose name is the origin, in order.

    Cosignatures that come later do not change it. Raises NoteMalformed, CheckpointMalformed.
    """
    parsed = note.parse(signed)
    origin = checkpoint.parse(parsed.text).origin
    own = "".join(line.line() for line in parsed.signatures if line.name == origin)
    return hashlib.sha256((parsed.text + "\n" + own).encode()).digest()


def roots_of(pem: bytes) -> list[x509.Certificate]:
    """The authorities in a PEM file; raises `BundleUnusable`."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BundleUnusable("no certificates of time-stamping authorities", expected="PEM") from None


def _token_in(data: bytes) -> bytes:
    """The token in an authority's response, or the token that is the file itself; raises MalformedDer, OversizeDer."""
    try:
        return asn1.token_of(data)
    except MalformedDer:
        asn1.decode_token(data)
        return data


def verify(signed: bytes, response: bytes, *, roots: Sequence[x509.Certificate], policy: Policy | None) -> Report:
    """When the checkpoint existed at the latest, and, with a policy, that it is the log's and cosigned by enough."""
    lines = Lines()
    text = note.parse_text(signed)
    head = checkpoint.parse(text)
    if policy is not None:
        try:
            opened = checkpoint.open_checkpoint(signed, policy.log_keys()[0].name, policy.verifiers())
        except LedgerError as error:
            lines.failed("checkpoint", error)
        else:
            lines.verified("checkpoint", f"signed by {head.origin}: {counted(head.size, 'entry')}")
            if policy.witnesses:
                lines.attempt("witnesses", lambda: witnessed(opened, policy))

    def stamped() -> str:
        token = _token_in(response)
        found = timestamp.verify_token(token, imprint=imprint(signed), roots=roots)
        moment = dt.datetime.fromtimestamp(found.at_ms / 1000, tz=dt.UTC).isoformat(timespec="milliseconds")
        return f"existed at {moment}, says {found.authority} (serial {found.serial})"

    lines.attempt("time stamp", stamped)
    subject = f"time stamp over the checkpoint of {head.origin} at {counted(head.size, 'entry')}"
    return lines.report(subject, caveat="" if policy is not None else WITHOUT_POLICY)
