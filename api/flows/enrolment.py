"""Enrolment: the first credentials for a code, the next ones for the credential that is held.

What a certificate says comes from the invitation, or from the certificate that it follows; nothing but the key is taken
from a request.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from msgspec import structs

from api import telemetry
from api.errors import ApiError
from api.flows.office import Office
from api.flows.office_errors import CodeRefused, InvitationUnfit, OfficeBusy, RenewalRefused
from api.principals import Principal
from pki import csr as requests
from pki import handover, names, profiles
from pki.authority import Subscriber
from pki.credential import Credential
from pki.csr import OpenedCsr
from pki.errors import PkiError
from pki.profiles import Hosts
from pki.roles import Purpose, Role
from pki.roles import Service as FlexService
from pki.store.codes import Claim, CodeExpired, CodeSpent, CodeStore, CodeUnknown, Invitation, OpenCode
from pki.store.listing import Sought
from pki.store.records import CertificateAbsent, Issued, Reason

MAX_LIFETIME_MS: Final = 90 * profiles.DAY_MS


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A certificate, with what stands between it and the root."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]


class Enrolment:
    """The door of the certificate office."""

    def __init__(self, office: Office, codes: CodeStore, *, lifetime_ms: int) -> None:
        self._office = office
        self._codes = codes
        self._lifetime_ms = lifetime_ms
        self._serving: set[tuple[str, Purpose]] = set()

    # Inviting

    def invite(self, asked: Invitation, *, lifetime_ms: int | None = None) -> tuple[str, Invitation, int]:
        """The new code, what it is good for, and until when (machine's time). Raises `InvitationUnfit`.

        A person gets a fresh pseudonym, derived from nothing.
        """
        invitation = fitting(asked)
        expires_at_ms = self._now_ms() + min(lifetime_ms or self._lifetime_ms, MAX_LIFETIME_MS)
        return self._codes.invite(invitation, expires_at_ms=expires_at_ms), invitation, expires_at_ms

    def open_codes(self) -> list[OpenCode]:
        """The codes that are good for something now."""
        return self._codes.still_open(self._now_ms())

    async def withdraw(self, code_id: str) -> None:
        """The code is good for nothing any more, and what waits to be issued for it is not; raises `CodeUnknown`."""
        await self._office.work(lambda: self._codes.withdraw(code_id))

    # The first credentials

    async def enrol(self, code: str, purpose: Purpose | None, request: bytes) -> Enrolled:
        """The credential of `purpose` (the first of the invitation if None) for the key in `request`, a PKCS#10.

        The same key may ask again and is given the same certificate, for an answer can be lost. Raises `CodeRefused`,
        `OfficeBusy`, and what reading the request and issuing raise; then the code is as good as before.
        """
        try:
            return await self._enrol(code, purpose, request)
        except (ApiError, PkiError) as error:
            telemetry.ENROLMENTS_REFUSED.labels(error.code).inc()
            raise

    async def _enrol(self, code: str, purpose: Purpose | None, request: bytes) -> Enrolled:
        try:
            # The code comes first: who has none learns nothing of how requests are read.
            name, invitation = self._codes.open(code, self._now_ms())
            wanted = purpose or invitation.purposes[0]
            opened = requests.open_csr(request)
            if (name, wanted) in self._serving:
                raise OfficeBusy("the code is being served", expected="one request at a time")
            claim = self._codes.claim(code, wanted, opened.spki_sha256, self._now_ms())
        except (CodeUnknown, CodeExpired, CodeSpent) as error:
            raise CodeRefused(error.detail, expected=error.expected, found=error.code) from None
        self._serving.add((claim.id, wanted))
        try:
            return await self._serve(claim, opened)
        finally:
            self._serving.discard((claim.id, wanted))

    async def _serve(self, claim: Claim, opened: OpenedCsr) -> Enrolled:
        invitation = claim.invitation
        if claim.serial is not None:
            issuer = self._office.authority_of(invitation.role).key_sha256
            return self._answer(invitation.role, self._office.store.get(issuer, claim.serial).der)
        try:
            certificate = await self._office.issue(
                opened,
                invitation.role,
                claim.purpose,
                subscriber(invitation, claim.purpose),
                guard=lambda: self._require_standing(claim),
            )
        except (ApiError, PkiError):
            self._codes.release(claim)
            raise
        self._codes.fulfil(claim, certificate.serial_number)
        return Enrolled(certificate, self._office.chain_of(invitation.role))

    def _require_standing(self, claim: Claim) -> None:
        """The code may have been withdrawn while this waited for its turn."""
        if not self._codes.stands(claim):
            raise CodeRefused("the enrolment code was withdrawn", found=CodeUnknown.code)

    # The next ones

    async def renew(
        self, principal: Principal, purpose: Purpose | None, request: bytes, *, proof: bytes | None = None
    ) -> Enrolled:
        """A credential that follows the caller's one of `purpose`, with the same or another key and the same names.

        Another key of another purpose than the connection's needs `proof`, the signature of the old one for it
        (`pki.handover`): whoever has the key of a connection has not, for that, the one that signs. Raises
        `handover.HandoverUnproven`, `RenewalRefused` if there is none that stands, or the request names somebody else
        (RFC 7030 section 4.2.2), and what reading the request and issuing raise.
        """
        opened = requests.open_csr(request)
        wanted = purpose or Purpose.TLS_CLIENT
        held = self._standing(principal, wanted, opened.spki_sha256)
        credential = self._proven(held, wanted)
        certificate = x509.load_der_x509_certificate(held.der)
        require_same_names(request, certificate)
        if wanted is not principal.credential.purpose and opened.spki_sha256 != held.spki_sha256:
            said = handover.message(held.issuer_key_sha256, held.serial, opened.spki_sha256)
            handover.require_proven(credential.public_key, said, proof)
        followed = Subscriber(
            party_id=credential.party_id,
            organisation=credential.organisation,
            services=frozenset(FlexService(one) for one in credential.services),
            delegated_by=credential.delegated_by,
            dns_names=hosts_in(certificate),
            station_id=credential.station_id,
        )
        own = principal.credential

        def guard() -> None:
            """Both certificates may have been revoked while this waited for its turn."""
            self._require_unrevoked(own.issuer_key_sha256, own.serial)
            self._require_unrevoked(held.issuer_key_sha256, held.serial)

        issued = await self._office.issue(opened, credential.role, wanted, followed, guard=guard)
        return Enrolled(issued, self._office.chain_of(credential.role))

    def _standing(self, principal: Principal, purpose: Purpose, spki_sha256: str) -> Issued:
        """The certificate that is followed: the connection's own, or the caller's newest of that purpose.

        Of several, one with this key goes before newer ones: whoever asks has that key.
        """
        own = principal.credential
        try:
            held = self._office.store.get(own.issuer_key_sha256, own.serial)
        except CertificateAbsent:
            raise RenewalRefused("the connection's certificate was not issued here, or is forgotten") from None
        self._require_unrevoked(held.issuer_key_sha256, held.serial)
        if purpose is own.purpose:
            return held
        found = [
            one.issued
            for one in self._office.listing.all(Sought(role=own.role, party_id=own.party_id, purpose=purpose))
            if one.issued.station_id == own.station_id
        ]
        if not found:
            raise RenewalRefused("there is no credential of this purpose to renew", expected="an enrolment code")
        followed = ([one for one in found if one.spki_sha256 == spki_sha256] or found)[-1]
        self._require_unrevoked(followed.issuer_key_sha256, followed.serial)
        return followed

    def _require_unrevoked(self, issuer_key_sha256: str, serial: int) -> None:
        standing = self._office.store.revocation_of(issuer_key_sha256, serial)
        if standing is not None and standing.reason is not Reason.SUPERSEDED:
            raise RenewalRefused("the credential was revoked", expected="an enrolment code", found=standing.reason)

    def _proven(self, held: Issued, purpose: Purpose) -> Credential:
        """What the certificate proves now: one that has ended is not followed either."""
        return self._office.desk.directory.validate(held.der, self._office.now_ms(purpose), purpose=purpose)

    def _answer(self, role: Role, der: bytes) -> Enrolled:
        return Enrolled(x509.load_der_x509_certificate(der), self._office.chain_of(role))

    def authorities(self) -> tuple[x509.Certificate, ...]:
        """The root and every issuing authority: what a client of ours has to know."""
        return tuple(one.certificate for one in self._office.hierarchy.authorities())

    def _now_ms(self) -> int:
        """Codes are handed out and used by people: they live in the machine's time."""
        return self._office.machine_clock.now_ms()


def fitting(asked: Invitation) -> Invitation:
    """The invitation, a person's with a fresh pseudonym, if credentials can be issued as it says.

    Raises `InvitationUnfit`.
    """
    if asked.role is Role.EVU:
        if asked.party_id:
            raise InvitationUnfit("a person's pseudonym is drawn, not given", expected="no party id")
        asked = structs.replace(asked, party_id=names.new_pseudonym())
    if not asked.purposes or len(set(asked.purposes)) != len(asked.purposes):
        raise InvitationUnfit("the purposes are not a list of different ones", found=len(asked.purposes))
    if (asked.role is Role.EVU) == bool(asked.organisation):
        raise InvitationUnfit("every party but a person has an organisation", role=asked.role)
    try:
        names.subject(names.Identity(asked.role, asked.party_id, asked.station_id), asked.organisation)
        for host in asked.dns_names:
            names.dns_name(host)
        for purpose in asked.purposes:
            if profiles.get(asked.role, purpose).hosts is Hosts.REQUIRED and not asked.dns_names:
                raise InvitationUnfit("a server certificate names hosts", expected="dns_names")
    except PkiError as error:
        raise InvitationUnfit(error.detail, expected=error.expected, found=error.found) from None
    if (asked.role is Role.STATION) != (asked.station_id is not None):
        raise InvitationUnfit("a station has a station id and nobody else has", role=asked.role)
    return asked


def subscriber(invitation: Invitation, purpose: Purpose) -> Subscriber:
    """The party as its certificate for `purpose` names it; hosts stand in server certificates alone."""
    return Subscriber(
        party_id=invitation.party_id,
        organisation=invitation.organisation,
        services=frozenset(invitation.services),
        delegated_by=invitation.delegated_by,
        dns_names=invitation.dns_names if purpose is Purpose.TLS_SERVER else (),
        station_id=invitation.station_id,
    )


def hosts_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names that a certificate of ours names."""
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(san.get_values_for_type(x509.DNSName))


def require_same_names(request: bytes, certificate: x509.Certificate) -> None:
    """Raises `RenewalRefused` if the request names another subject; one that names nobody asks for the same one."""
    is_pem = request.lstrip().startswith(b"-----BEGIN")
    asked = x509.load_pem_x509_csr(request) if is_pem else x509.load_der_x509_csr(request)
    try:
        is_other = bool(asked.subject.rdns) and asked.subject.public_bytes() != certificate.subject.public_bytes()
        san = _alternative_names(asked)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise RenewalRefused("the names in the request cannot be read") from None
    if is_other:
        raise RenewalRefused("the request names another subject", expected="the subject of the certificate it follows")
    if san is None:
        return
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if set(san) != set(held):
        raise RenewalRefused("the request names other alternative names", expected="those of the certificate")


def _alternative_names(asked: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
