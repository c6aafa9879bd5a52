"""The certificates and CRLs of a bundle as a directory that remembers what was needed.

What proves nothing has no place in a bundle: a byte that is changed there would go unnoticed.
"""

from collections.abc import Collection, Iterable, Sequence

from cryptography import x509

from api.verification.actors import Directory
from api.verification.bundle_format import sha256
from api.verification.roots_in_time import RootNotInForce, RootWindow
from pki import path
from pki.conformity import VerifiedClaim, VerifiedLink, open_document
from pki.credential import Credential
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.status import CheckedCrl, Scope, Standing, StatusIndeterminate, StatusSet
from pki.trust import TrustAnchors


class UsedStatus(StatusSet):
    """Evidence that remembers which of it gave an answer."""

    def __init__(self, evidence: Iterable[bytes] = ()) -> None:
        self.used: set[str] = set()
        super().__init__(evidence)

    def crl_for(self, issuer: x509.Certificate, at_ms: int, scope: Scope = Scope.USER) -> CheckedCrl:
        try:
            crl = super().crl_for(issuer, at_ms, scope)
        except StatusIndeterminate:
            self._rests_on(self.known(issuer, None, at_ms))
            raise
        self._rests_on(crl.digests)
        return crl

    def standing(
        self,
        issuer: x509.Certificate,
        serial: int,
        at_ms: int,
        scope: Scope = Scope.USER,
        *,
        known_ms: int | None = None,
    ) -> Standing:
        try:
            return super().standing(issuer, serial, at_ms, scope, known_ms=known_ms)
        except StatusIndeterminate:
            self._rests_on(self.known(issuer, serial, at_ms))
            raise

    def _rests_on(self, digests: Sequence[str]) -> None:
        self.used.update(digests)


class BundleDirectory(Directory):
    """Who may be believed, from these certificates and CRLs only; each answer is for the very moment asked about."""

    def __init__(
        self,
        anchors: TrustAnchors,
        certificates: Sequence[bytes],
        crls: Sequence[bytes],
        roots: Sequence[RootWindow] = (),
    ) -> None:
        """Raises `pki/malformed`, `pki/oversize`, `pki/crl-malformed`, with the position in the list."""
        authorities: list[bytes] = []
        leaves: list[bytes] = []
        for position, der in enumerate(certificates):
            (authorities if _is_authority(der, position) else leaves).append(der)
        self.crls = tuple(crls)
        self.used_status = UsedStatus()
        for position, data in enumerate(crls):
            try:
                self.used_status.add(data)
            except PkiError as error:
                error.where.update(list="status", position=position)
                raise
        super().__init__(anchors, authorities, self.used_status, roots)
        self._certificates = tuple(certificates)
        self._good: dict[tuple[str, Purpose], tuple[int, int, Credential]] = {}
        """From, until (exclusive) and what was proven."""
        self.used: set[str] = set()
        """Hex SHA-256 of each certificate that was needed."""
        for leaf in leaves:
            self.add(leaf)

    def narrowed(self, digests: Collection[str]) -> "BundleDirectory":
        """The same with the CRLs of these digests alone; what it needs counts as needed here only after `take`."""
        crls = [data for data in self.crls if sha256(data) in digests]
        return BundleDirectory(self.anchors, self._certificates, crls, self.roots)

    def take(self, other: "BundleDirectory") -> None:
        """What the other needed was needed."""
        self.used |= other.used
        self.used_status.used |= other.used_status.used

    def certificate(self, x5t: str) -> bytes:
        der = super().certificate(x5t)
        self.used.add(sha256(der))
        return der

    def credential(
        self, x5t: str, at_ms: int, *, purpose: Purpose = Purpose.SIGNING, roles: Collection[Role] | None = None
    ) -> Credential:
        known = self._good.get((x5t, purpose))
        if known is not None and known[0] <= at_ms < known[1] and (roles is None or known[2].role in roles):
            return known[2]
        credential = self.validate(self.certificate(x5t), at_ms, purpose=purpose, roles=roles)
        until_ms = min(self._next_moment(at_ms), credential.status_valid_until_ms, credential.not_after_ms)
        self._good[x5t, purpose] = (at_ms, until_ms, credential)
        return credential

    def validate(
        self, der: bytes, at_ms: int, *, purpose: Purpose, roles: Collection[Role] | None = None
    ) -> Credential:
        try:
            credential = super().validate(der, at_ms, purpose=purpose, roles=roles)
        except (PkiError, RootNotInForce):
            self.used.update(sha256(one) for one in (der, *self._issuers_of(der)))
            raise
        self.used.update(sha256(one) for one in credential.chain)
        return credential

    def document(self, der: bytes, at_ms: int) -> VerifiedClaim | VerifiedLink:
        """The claim or link, good at `at_ms`; raises `SignerUnknown` or what `open_document` raises."""
        chain = self.chain_of_claim(der)
        self.used.update(sha256(one) for one in chain)
        return open_document(der, chain=chain, anchors=self._roots.at(at_ms), status=self.status, at_ms=at_ms)

    def unused(self) -> tuple[list[int], list[int]]:
        """Positions of the certificates, and of the CRLs, that nothing needed."""
        certificates = [n for n, der in enumerate(self._certificates) if sha256(der) not in self.used]
        crls = [n for n, data in enumerate(self.crls) if sha256(data) not in self.used_status.used]
        return certificates, crls


def _is_authority(der: bytes, position: int) -> bool:
    try:
        certificate = path.load(der)
    except PkiError as error:
        error.where.update(list="certificates", position=position)
        raise
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
