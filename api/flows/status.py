"""Revocation status as it is published: each authority's list and certificate, and answers to OCSP.

Lists are those by which this service itself judges, its own office's or those that lie in its folder. OCSP is answered
by the office's authorities; a signer is made when somebody first asks, by the office's thread and on record like every
certificate, and replaced before it ends.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography import x509

from api.errors import Absent
from api.flows.office import Office
from api.flows.office_errors import OfficeBusy
from api.verification.actors import Directory
from ledger.clock import Clock, SystemClock
from ledger.errors import LedgerError
from pki import binding, keys, names, profiles
from pki.asn1.ocsp import ResponseStatus
from pki.errors import PkiError
from pki.opened import reopened
from pki.path import not_before_ms
from pki.responder import Answer, Responder
from pki.status import Scope, StatusIndeterminate
from pki.trust import encoded

ROOT: Final = "root"
ROTATION_CHECK_S: Final = 3600.0
RETRY_S: Final = 10.0
"""How long the office is left alone after a signer could not be made."""

log = structlog.get_logger()


class AuthorityUnknown(Absent):
    """No authority of this name is known here."""

    code = "api/authority-unknown"
    title = "No such authority"


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A CRL (DER) and its times (Unix ms)."""

    der: bytes
    this_update_ms: int
    next_update_ms: int


class StatusDesk:
    """What anybody may ask about revocations; nothing here tells who asked about whom."""

    def __init__(self, directory: Directory, office: Office | None, business: Clock) -> None:
        """Without an office no OCSP request is answered: all are `unauthorized`."""
        self._directory = directory
        self._office = office
        self._clocks: tuple[Clock, ...] = (SystemClock(), business)
        online = [] if office is None else [one for one in office.hierarchy.authorities() if _is_online(one.signer)]
        self._responder = Responder(online)
        self._rotating = asyncio.Lock()
        self._rest_until_s = 0.0
        directory.on_evidence(self._responder.forget)

    def certificate(self, name: str) -> x509.Certificate:
        """The certificate of the authority of this published name: "root", "fo", of a second generation "fo-g2".

        Raises AuthorityUnknown.
        """
        found = [one for one in self._authorities() if _name_of(one) == name]
        if not found:
            raise AuthorityUnknown("no authority of this name is known here")
        return max(found, key=not_before_ms)

    def crl(self, name: str) -> PublishedList:
        """The newest list of the authority in force: as of the machine's time, else of that of the business.

        Raises AuthorityUnknown, or StatusIndeterminate if none is in force.
        """
        issuer = self.certificate(name)
        scope = Scope.AUTHORITY if _is_root(issuer) else Scope.USER
        status = self._directory.status
        problem: StatusIndeterminate | None = None
        for clock in self._clocks:
            try:
                found = status.crl_for(issuer, clock.now_ms(), scope)
            except StatusIndeterminate as error:
                problem = problem or error
            else:
                return PublishedList(status.der(found.digest), found.this_update_ms, found.next_update_ms)
        raise problem or StatusIndeterminate("there is no list of this authority")

    async def answer(self, request: bytes) -> Answer:
        """The response to an OCSP request (DER), as of the machine's time; never raises for what is in it."""
        now_ms = self.now_ms()
        kept = self.kept(request, now_ms)
        if kept is not None:
            return kept
        # Not on the event loop: the store may be busy with a list of a hundred thousand.
        answer = await asyncio.to_thread(self._responder.answer, request, now_ms)
        if answer.status is ResponseStatus.TRY_LATER and await self._rotate():
            answer = await asyncio.to_thread(self._responder.answer, request, now_ms)
        return answer

    def kept(self, request: bytes, now_ms: int) -> Answer | None:
        """The answer that was given to the very same request a short while ago and still stands; else None."""
        return self._responder.kept(request, now_ms)

    def now_ms(self) -> int:
        """The machine's time, in which responses are made."""
        return self._clocks[0].now_ms()

    async def watch(self) -> None:
        """Replaces signers before they end, for as long as the service runs."""
        while True:
            await asyncio.sleep(ROTATION_CHECK_S)
            await self._rotate()

    async def _rotate(self) -> bool:
        """Every authority that was asked about has a signer; False if one could not be made, or nobody may try yet."""
        loop = asyncio.get_running_loop()
        async with self._rotating:
            if self._office is None or loop.time() < self._rest_until_s:
                return False
            try:
                await self._office.work(lambda: self._responder.rotate(self.now_ms(), only_wanted=True))
            except (PkiError, LedgerError, OfficeBusy, OSError) as error:
                self._rest_until_s = loop.time() + RETRY_S
                log.error("OCSP signer not made", error=type(error).__name__)
                return False
        return True

    def _authorities(self) -> list[x509.Certificate]:
        issuing = [x509.load_der_x509_certificate(der) for der in self._directory.issuers()]
        return [*self._directory.anchors.certificates, *issuing]


def encoded_certificate(certificate: x509.Certificate) -> bytes:
    """DER, as caIssuers wants it (RFC 5280 section 4.2.2.1)."""
    return encoded(certificate)


def _name_of(certificate: x509.Certificate) -> str | None:
    """What the authority is called in the addresses of its list and certificate; None if it is none of a profile."""
    try:
        if _is_root(certificate):
            return names.published(ROOT, certificate.subject)
        policies = binding.role_policies(reopened(certificate))
    except (PkiError, x509.ExtensionNotFound):
        return None
    found = next((group for group, one in profiles.AUTHORITIES.items() if policies == {one.policy}), None)
    return None if found is None else names.published(found.lower(), certificate.subject)


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 1


def _is_online(signer: keys.Signer) -> bool:
    try:
        keys.require_online(signer)
    except PkiError:
        return False
    return True
