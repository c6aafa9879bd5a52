"""The roots of one log, as its own entries say: those of its first policy, and every change that a root vouched for.

Nothing is believed here because the log says so. Each change is a sentence that roots' keys signed, and whoever
verifies begins with roots of their own: from these, word by word, the others are reached, or they are not.
"""

import base64
import binascii
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509

from api.errors import Refused
from api.verification.errors import RootUnknown
from api.verification.roots_in_time import RootWindow
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.log import MAX_ROOTS, POLICIES, PolicyAdopted, RootAdopted, RootRetired
from ledger.records.record import Record
from ledger.rules.fact import VouchedRoot
from pki import vouching
from pki.errors import PkiError
from pki.vouching import Adoption, Retirement, Unvouched

MAX_CHANGES: Final = 4 * MAX_ROOTS
"""Entries that change policy or roots; a log with more is not walked through."""

Change = PolicyAdopted | RootAdopted | RootRetired


class RootsUnreached(Refused):
    """The log admits statements under a root that none of the trusted roots vouches for."""

    code = "verify/root-unreached"
    title = "The log has a root that nobody trusted vouches for"


@dataclass(frozen=True, slots=True)
class Told:
    """A change of policy or roots at its place in the log."""

    index: int
    rec_ms: int
    record: Change


@dataclass(frozen=True, slots=True)
class Life:
    """A root of the log; `by` vouched for it in entry `index`, or nobody had to: it is of the first policy."""

    digest: str
    certificate: x509.Certificate
    index: int
    from_ms: int = 0
    until_ms: int | None = None
    by: str | None = None


class LogRoots:
    """Grows change by change, in the order of the log; what nobody vouched for changes nothing."""

    def __init__(self, origin: str, known: Iterable[x509.Certificate]) -> None:
        """`known` are certificates of roots, trusted or not, by which the log's digests are understood."""
        self.origin = origin
        self._known = {vouching.digest(one): one for one in known}
        self._lives: dict[str, Life] = {}

    def take(self, told: Told) -> None:
        """The change counts from here on. Raises what `vouched` raises; a root in entry 0 may be `RootUnknown`."""
        record = told.record
        if isinstance(record, PolicyAdopted):
            if told.index == 0:
                self._begin(record)
            return
        vouched = self.vouched(record, told.rec_ms)
        if isinstance(record, RootRetired):
            life = self._lives[vouched.root]
            if life.until_ms is None:
                self._lives[vouched.root] = replace(life, until_ms=record.until_ms)
        elif vouched.root not in self._lives and len(self._lives) < MAX_ROOTS:
            root = self._known[vouched.root]
            self._lives[vouched.root] = Life(vouched.root, root, told.index, record.from_ms, by=vouched.by)

    def vouched(self, record: RootAdopted | RootRetired, at_ms: int) -> VouchedRoot:
        """Whose word the change is, verified: a root's that is in force at `at_ms`.

        Raises `pki.vouching.Unvouched`, `UnfitRoot`, and what reading certificates raises.
        """
        by = self._lives.get(record.by)
        if by is None:
            raise Unvouched("a root that this log does not have", found=record.by)
        if not by.from_ms <= at_ms or (by.until_ms is not None and at_ms >= by.until_ms):
            raise Unvouched("the root that vouches is not in force", found=record.by)
        if isinstance(record, RootRetired):
            vouching.require_retired(_retirement(self.origin, record), by=by.certificate)
            if record.root not in self._lives:
                raise Unvouched("a root that this log does not have", found=record.root)
            return VouchedRoot(record.root, record.by)
        root = vouching.require_adopted(_adoption(self.origin, record), by=by.certificate, at_ms=at_ms)
        if vouching.digest(root) != record.root:
            raise Unvouched("the certificate is another root's", expected=record.root, found=vouching.digest(root))
        self._known.setdefault(record.root, root)
        return VouchedRoot(record.root, record.by)

    def lives(self) -> tuple[Life, ...]:
        """Every root, in the order in which the log took them over."""
        return tuple(self._lives.values())

    def windows(self) -> tuple[RootWindow, ...]:
        """When each of them counts."""
        return tuple(RootWindow(one.certificate, one.from_ms, one.until_ms) for one in self._lives.values())

    def reached(self, trusted: Collection[str]) -> tuple[Life, ...]:
        """The roots that are reached from `trusted` (by digest), the trusted ones among them first.

        The one before vouched for the one after, and the one after for the one before: both keys signed. Raises
        `RootsUnreached` if one of the log's roots is not reached, so that its statements would be strangers'.
        """
        found = [one for one in self._lives.values() if one.digest in trusted]
        names = {one.digest for one in found}
        while True:
            more = [
                one
                for one in self._lives.values()
                if one.digest not in names and (one.by in names or self._vouches_for(one.digest, names))
            ]
            if not more:
                break
            found += more
            names |= {one.digest for one in more}
        lost = [one.digest for one in self._lives.values() if one.digest not in names]
        if lost:
            raise RootsUnreached(
                "nobody who is trusted vouches for a root of the log",
                expected=", ".join(sorted(one[:16] for one in trusted)),
                found=", ".join(one[:16] for one in lost),
            )
        return tuple(found)

    def _vouches_for(self, digest: str, names: Collection[str]) -> bool:
        """Whether a root of `names` followed this one, and so signed that it stands beside it."""
        return any(one.by == digest and one.digest in names for one in self._lives.values())

    def _begin(self, policy: PolicyAdopted) -> None:
        for anchor in policy.anchors:
            if anchor not in self._known:
                raise RootUnknown("a root of the log's first policy is not at hand", expected=anchor)
        self._lives = {anchor: Life(anchor, self._known[anchor], 0) for anchor in policy.anchors}


def changes(read: Callable[[int], bytes | None], size: int) -> tuple[Told, ...]:
    """Every change of policy or roots among the first `size` entries, oldest first.

    Each entry names the one in force before it, so nothing else has to be read: a name that lies breaks R-09, which an
    audit finds. Entries that cannot be read end the walk; the audit of the bytes names them.
    """
    return tuple(sorted(_backwards(read, size), key=lambda one: one.index))


def _backwards(read: Callable[[int], bytes | None], size: int) -> Iterator[Told]:
    index, seen = size - 1, set[int]()
    while 0 <= index < size and index not in seen and len(seen) <= MAX_CHANGES:
        seen.add(index)
        data = read(index)
        if data is None:
            return
        try:
            made = entries.decode(data)
            record = statements.parse_statement(made.stmt).record if made.type in POLICIES else None
        except LedgerError:
            return
        if isinstance(record, Change):
            yield Told(index, made.rec, record)
        index = made.pol


def of_entries(found: Sequence[tuple[int, bytes]]) -> tuple[Told, ...]:
    """The changes among entries that are at hand, in order; what cannot be read is passed over."""
    told = []
    for index, data in found:
        try:
            made = entries.decode(data)
            record = statements.parse_statement(made.stmt).record if made.type in POLICIES else None
        except LedgerError:
            continue
        if isinstance(record, Change):
            told.append(Told(index, made.rec, record))
    return tuple(sorted(told, key=lambda one: one.index))


def folded(origin: str, known: Iterable[x509.Certificate], told: Sequence[Told]) -> LogRoots:
    """The roots after these changes, those that nobody vouched for left out: the rules refuse them by name.

    Raises `RootUnknown`.
    """
    roots = LogRoots(origin, known)
    for one in told:
        with suppress(PkiError):
            roots.take(one)
    return roots


def record_of(paper: Adoption | Retirement) -> RootAdopted | RootRetired:
    """What the log says of a paper."""
    if isinstance(paper, Retirement):
        return RootRetired(root=paper.root, by=paper.by, until_ms=paper.until_ms, signature=_encoded(paper.signature))
    return RootAdopted(
        root=_digest(paper.root),
        certificate=_encoded(paper.root),
        by=paper.by,
        from_ms=paper.from_ms,
        signature=_encoded(paper.signature),
        own_signature=_encoded(paper.own_signature),
    )


def evidence_of(roots: LogRoots, record: Record, at_ms: int) -> VouchedRoot | None:
    """What the rules need beside a change of roots: None proves nothing, and the rule says so."""
    if not isinstance(record, RootAdopted | RootRetired):
        return None
    try:
        return roots.vouched(record, at_ms)
    except PkiError:
        return None


def _digest(der: bytes) -> str:
    try:
        return vouching.digest(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise vouching.BadPaper("the paper holds no certificate") from error


def _adoption(origin: str, record: RootAdopted) -> Adoption:
    return Adoption(
        log=origin,
        root=_decoded(record.certificate),
        by=record.by,
        from_ms=record.from_ms,
        signature=_decoded(record.signature),
        own_signature=_decoded(record.own_signature),
    )


def _retirement(origin: str, record: RootRetired) -> Retirement:
    return Retirement(
        log=origin, root=record.root, by=record.by, until_ms=record.until_ms, signature=_decoded(record.signature)
    )


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except binascii.Error as error:
        raise Unvouched("not base64") from error
