"""The contract of a certificate store, and what stands in it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pki.errors import Absent, Broken, Busy
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


class CertificateAbsent(Absent):
    """No certificate with this serial number was issued by this authority."""

    code = "pki/certificate-absent"
    title = "Certificate not found"


class SerialReused(Broken):
    """An authority gave one serial number twice."""

    code = "pki/serial-reused"
    title = "Serial number used twice"


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
    """That a certificate is revoked from `revoked_at_ms` on."""

    issuer_key_sha256: str
    serial: int
    revoked_at_ms: int
    reason: Reason


class CertificateStore(Protocol):
    """Certificates, revocations and CRL numbers; every method is atomic and may be called from any thread."""

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

    def revoke(self, revocation: Revocation) -> Revocation:
        """Revoke; a second time changes nothing. The revocation that stands, or CertificateAbsent."""
        ...

    def revocation_of(self, issuer_key_sha256: str, serial: int) -> Revocation | None:
        """The revocation of this certificate, if it was revoked."""
        ...

    def revocations(self, issuer_key_sha256: str, until_ms: int) -> list[Revocation]:
        """Those of one authority that count at `until_ms`, by serial number."""
        ...

    def next_crl_number(self, issuer_key_sha256: str, this_update_ms: int, *, allow_earlier: bool) -> int:
        """A number never given before, higher than all of CRLs with an earlier or equal time.

        It follows the time in milliseconds. CrlTimeWentBack if there is a later CRL already, unless `allow_earlier`
        (a development hierarchy plays days of the past), and then it is lower than that of every later CRL.
        """
        ...
