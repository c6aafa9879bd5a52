"""The contract of a certificate store, and what stands in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pki.errors import Absent, Broken, Busy, Refused
from pki.roles import Purpose, Role

MAX_FOUND = 1000


class Reason(StrEnum):
    """Why a certificate was revoked (RFC 5280 section 5.3.1); holds are not used: a revocation is for ever."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


REASON_NUMBER: dict[Reason, int | None] = {
    Reason.UNSPECIFIED: None,  # absent means unspecified (RFC 5280 section 5.3.1)
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION: 5,
    Reason.PRIVILEGE_WITHDRAWN: 9,
    Reason.AA_COMPROMISE: 10,
}
"""CRLReason, as CRLs and OCSP responses write it; None is not written."""


class CertificateAbsent(Absent):
    """No certificate with this serial number was issued by this authority."""

    code = "pki/certificate-absent"
    title = "Certificate not found"


class SerialReused(Broken):
    """An authority gave one serial number twice."""

    code = "pki/serial-reused"
    title = "Serial number used twice"


class OrderUnderWay(Busy):
    """The order is being carried out, or was left unfinished and waits for its repair."""

    code = "pki/order-under-way"
    title = "Order under way"


class ClockWentBack(Busy):
    """The time is before that of an earlier issuance: the clock stepped back, or the earlier one was wrong."""

    code = "pki/clock-went-back"
    title = "Clock went back"


class IntentWithdrawn(Busy):
    """The issuance took so long that it was taken for interrupted and its serial number revoked; order again."""

    code = "pki/intent-withdrawn"
    title = "Issuance withdrawn"


class StoreUnavailable(Busy):
    """The store did not take a write: it is locked, or the disk is full or failing. Nothing was changed."""

    code = "pki/store-unavailable"
    title = "Certificate store does not answer"


class BadCursor(Refused):
    """Not a cursor that an earlier page gave."""

    code = "pki/bad-cursor"
    title = "Cursor not known"


class CeremonyReplayed(Refused):
    """A ceremony with this id, or from this very file, was performed before."""

    code = "pki/ceremony-replayed"
    title = "Ceremony performed before"


class StoreUnreadable(Broken):
    """The file of the store is of a later version of this software, or damaged."""

    code = "pki/store-unreadable"
    title = "Certificate store cannot be read"


class CrlTimeWentBack(Busy):
    """A CRL of an earlier time than the last one was asked for."""

    code = "pki/crl-time-went-back"
    title = "Clock went back"


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate as issued; (`issuer_key_sha256`, `serial`) is its name. Roots and authorities have no role."""

    issuer_key_sha256: str
    serial: int
    der: bytes
    profile: str
    role: Role | None
    purpose: Purpose | None
    party_id: str | None
    station_id: str | None
    spki_sha256: str
    tbs_sha256: str
    not_before_ms: int
    not_after_ms: int
    issued_at_ms: int


@dataclass(frozen=True, slots=True)
class Revocation:
    """That a certificate is revoked from `revoked_at_ms` on.

    `invalid_from_ms`, where it is known, is the earlier time from which its key was not to be trusted any more (RFC
    5280 section 5.3.2): what was decided by it since then is to be looked at again.
    """

    issuer_key_sha256: str
    serial: int
    revoked_at_ms: int
    reason: Reason
    invalid_from_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What is known of a name: whether a certificate of it is held, and its revocation, if it was revoked."""

    issued: bool
    revocation: Revocation | None


@dataclass(frozen=True, slots=True)
class Intent:
    """A certificate that is about to be signed: the digest (hex) of the bytes, the profile, and for whom."""

    tbs_sha256: str
    profile: str
    issuer_key_sha256: str
    serial: int
    at_ms: int
    spki_sha256: str = ""
    role: Role | None = None
    purpose: Purpose | None = None
    party_id: str | None = None
    station_id: str | None = None


class GapKind(StrEnum):
    """How far an issuance came that did not come to its end."""

    UNSIGNED = "UNSIGNED"
    """Intended, and perhaps signed, but not stored: nobody was given the certificate."""
    WITHDRAWN = "WITHDRAWN"
    """As UNSIGNED; a repair has begun to revoke the serial number, and has not finished."""
    UNRECORDED = "UNRECORDED"
    """Stored, and not known to be recorded."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An intent without the end it should have had."""

    intent: Intent
    kind: GapKind
    order_id: str | None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One certificate, or intent, that names a key; `revoked` is the reason if it was revoked."""

    role: Role | None
    purpose: Purpose | None
    party_id: str | None
    station_id: str | None
    revoked: Reason | None


@dataclass(frozen=True, slots=True)
class Query:
    """Which certificates are asked for: those that match all that is given."""

    issuer_key_sha256: str | None = None
    serial: int | None = None
    spki_sha256: str | None = None
    profile: str | None = None
    role: Role | None = None
    purpose: Purpose | None = None
    party_id: str | None = None
    station_id: str | None = None
    valid_at_ms: int | None = None
    ends_from_ms: int | None = None
    ends_before_ms: int | None = None
    issued_from_ms: int | None = None
    issued_before_ms: int | None = None
    revoked: bool | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate with its revocation, if it was revoked."""

    issued: Issued
    revocation: Revocation | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was asked for, in the order of issuance; `cursor` asks for the rest, None if there is none."""

    found: tuple[Listed, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Followed:
    """How far somebody who follows the store has come: places in the order of issuance, and in that of revocation."""

    issued: int = 0
    revoked: int = 0


@dataclass(frozen=True, slots=True)
class CeremonyRecord:
    """A ceremony that was performed: its id, the digest of its reviewed file, when, and its transcript."""

    ceremony_id: str
    spec_sha256: str
    at_ms: int
    transcript: bytes


class CertificateStore(Protocol):
    """Certificates, intents, revocations and CRL numbers; every method is atomic and may be called from any thread."""

    def put(self, issued: Issued) -> None:
        """Keep `issued`; SerialReused if the name is taken by another certificate, nothing if by the same."""
        ...

    def get(self, issuer_key_sha256: str, serial: int) -> Issued:
        """The certificate of this name, or CertificateAbsent."""
        ...

    def find(
        self,
        *,
        role: Role | None = None,
        party_id: str | None = None,
        spki_sha256: str | None = None,
        valid_at_ms: int | None = None,
        limit: int = MAX_FOUND,
    ) -> list[Issued]:
        """Those that match all that is given, oldest first, at most `limit`."""
        ...

    def forget(self, role: Role, *, party_id: str | None = None, ended_before_ms: int | None = None) -> int:
        """Delete the certificates of `role` that match what is given, with every trace of them; how many."""
        ...

    def page(self, query: Query, *, cursor: str | None = None, limit: int = MAX_FOUND) -> Page:
        """Those that match, at most `limit`, oldest first, after `cursor`; BadCursor.

        Certificates that are issued meanwhile come on later pages; none is left out and none comes twice.
        """
        ...

    def expiring(self, before_ms: int, *, now_ms: int, limit: int = MAX_FOUND) -> list[Issued]:
        """Valid at `now_ms`, ending before `before_ms`, not revoked, and without a successor that ends later."""
        ...

    def plan(
        self,
        intent: Intent,
        *,
        order_id: str | None = None,
        clock_tolerance_ms: int | None = None,
        admit: Callable[[Sequence[KeyUse]], None] | None = None,
    ) -> None:
        """Keep `intent` before anything is signed; serial number, key and order are taken from now on.

        `admit` is shown every use of the key, and raises if this one must not be added; nothing comes between its look
        and the intent. With `clock_tolerance_ms`, ClockWentBack if `intent.at_ms` is earlier than that before the last
        intent of this authority. SerialReused, OrderUnderWay if taken.
        """
        ...

    def release(self, intent: Intent) -> None:
        """The order of `intent` may be given again, if no certificate is stored for it; the intent stays a gap."""
        ...

    def finish(self, issued: Issued) -> None:
        """Keep the certificate of an intent; IntentWithdrawn if a repair was faster, and then it is not kept."""
        ...

    def recorded(self, issuer_key_sha256: str, serial: int) -> None:
        """The journal has the certificate: its issuance is complete. May become durable a little later."""
        ...

    def order(self, order_id: str) -> Issued | None:
        """The certificate that was issued for this order; OrderUnderWay if there is none yet."""
        ...

    def require_named(self, issuer_key_sha256: str, serial: int) -> None:
        """A certificate of this name was issued or intended; or CertificateAbsent."""
        ...

    def gaps(self, before_ms: int | None = None) -> list[Gap]:
        """Issuances that are not complete, oldest first; with `before_ms`, only those begun earlier."""
        ...

    def withdraw(self, intent: Intent) -> bool:
        """From now on `finish` refuses it. False if it was finished, or its serial number revoked, meanwhile."""
        ...

    def followed(self) -> Followed:
        """What `follow` said last; from the beginning, if it never did."""
        ...

    def follow(self, followed: Followed) -> None:
        """Keep it for the next start. May become durable a little later, or never: then more is looked at again."""
        ...

    def ceremony(self, ceremony_id: str) -> CeremonyRecord | None:
        """The ceremony of this id, if it was performed."""
        ...

    def add_ceremony(self, record: CeremonyRecord) -> None:
        """Keep it; CeremonyReplayed if its id or its file is there already."""
        ...

    def revoke(self, revocation: Revocation) -> Revocation:
        """Revoke what was issued or intended; a second time changes nothing.

        The revocation that stands, or CertificateAbsent.
        """
        ...

    def revocation_of(self, issuer_key_sha256: str, serial: int) -> Revocation | None:
        """The revocation of this certificate, if it was revoked."""
        ...

    def noted(self, issuer_key_sha256: str, serial: int) -> Noted:
        """Whether a certificate of this name is held, and its revocation."""
        ...

    def revocations(
        self, issuer_key_sha256: str, until_ms: int, *, after: int = -1, limit: int | None = None
    ) -> list[Revocation]:
        """Those of one authority that count at `until_ms`, by serial number: those beyond `after`, at most `limit`."""
        ...

    def next_crl_number(self, issuer_key_sha256: str, this_update_ms: int, *, allow_earlier: bool) -> int:
        """A number never given before, higher than all of CRLs with an earlier or equal time.

        It follows the time in milliseconds. CrlTimeWentBack if there is a later CRL already, unless `allow_earlier`
        (a development hierarchy plays days of the past), and then it is lower than that of every later CRL.
        """
        ...
