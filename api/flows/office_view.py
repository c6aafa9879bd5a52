"""What the office shows of a credential, and to whom: the operator and auditors all, a party its own."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.flows.office import Office
from api.flows.office_errors import CredentialNotFound, ServiceCredential
from api.flows.office_journal import serial_text
from api.principals import Principal
from pki.roles import Purpose, Role
from pki.store.listing import Listed, Sought
from pki.store.records import CertificateAbsent, Issued

CONNECTS = frozenset({Purpose.TLS_CLIENT})
SEE_ALL = frozenset({Role.OPS, Role.AUD})


class CredentialView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One credential. `name` is its issuer's key and its serial number; a fingerprint would not be one name."""

    name: str
    profile: str
    role: str
    purpose: str
    party: str | None = None
    """Left out of an auditor's list where it would be a person."""
    station: str | None = None
    tbs_sha256: str
    not_before_ms: int
    not_after_ms: int
    issued_at_ms: int
    entry: int | None = None
    """Index of the log's first entry about it; `/v1/entries/{entry}/receipt` proves it."""
    is_gap: bool = False
    revoked_at_ms: int | None = None
    reason: str | None = None
    invalid_from_ms: int | None = None
    """From when its key was not to be trusted, where that is earlier than the revocation."""
    certificate: str | None = None
    """PEM, where one credential is asked for."""


class CredentialPage(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials in the order of their issuance, and the tree size for which the page holds."""

    tree_size: int
    credentials: tuple[CredentialView, ...]
    next: str | None = None
    """What to hand in as `after` for the next page; None on the last."""


def page(office: Office, principal: Principal, sought: Sought, *, after: int, limit: int) -> CredentialPage:
    """The next credentials after number `after` that match, as far as the caller may see them."""
    if principal.role not in SEE_ALL:
        if sought.party_id not in (None, principal.party):
            raise CredentialNotFound("these are credentials of another party")
        sought = replace(sought, party_id=principal.party)
    found: list[Listed] = []
    for one in _after(office, sought, after):
        # Who asks for a person's by name would learn whose they are, whatever is left out of the answer.
        is_asked_out = sought.party_id is not None and _is_hidden(principal, one.issued)
        if one.issued.role is not None and may_see(principal, one.issued) and not is_asked_out:
            found.append(one)
            if len(found) > limit:
                break
    shown = found[:limit]
    return CredentialPage(
        tree_size=office.desk.appender.head.size,
        credentials=tuple(view(office, one, principal) for one in shown),
        next=str(shown[-1].number) if len(found) > limit else None,
    )


def one(office: Office, principal: Principal, name: str) -> Listed:
    """The credential of this name, if the caller may see it; raises `CredentialNotFound`."""
    issuer, _, serial = name.partition(".")
    try:
        held = office.store.get(issuer, int(serial, 16))
    except (CertificateAbsent, ValueError, OverflowError):
        raise CredentialNotFound("no such credential was issued here") from None
    if held.role is None or not may_see(principal, held):
        raise CredentialNotFound("no such credential was issued here")
    return Listed(0, held, office.store.revocation_of(issuer, held.serial))


def may_see(principal: Principal, held: Issued) -> bool:
    """Everybody's for the operator and auditors; else one's own, and a charging station operator's stations'."""
    if principal.role in SEE_ALL:
        return True
    if held.party_id != principal.party:
        return False
    if principal.role is Role.CSO and held.role is Role.STATION:
        return True
    return held.role is principal.role and held.station_id == principal.credential.station_id


def require_revocable(office: Office, principal: Principal, held: Issued) -> None:
    """The service's own servers and signatures are ended by operations alone; raises `ServiceCredential`.

    The port speaks for an organisation that has connections of its own, and whoever has one of those could otherwise
    silence the port for everybody.
    """
    me = office.desk.me
    is_the_ports = (str(held.role), held.party_id) == (me.role.value, me.party) and held.purpose not in CONNECTS
    if is_the_ports and principal.role is not Role.OPS:
        raise ServiceCredential("the service answers and signs with it", expected=Role.OPS, found=principal.role.value)


def view(office: Office, listed: Listed, principal: Principal, *, whole: bool = False) -> CredentialView:
    """What the caller is shown of one credential, with the certificate itself if `whole`."""
    held = listed.issued
    state = office.desk.state.credentials.find(held.issuer_key_sha256, serial_text(held.serial))
    is_hidden = _is_hidden(principal, held)
    certificate = x509.load_der_x509_certificate(held.der).public_bytes(Encoding.PEM).decode() if whole else None
    return CredentialView(
        name=f"{held.issuer_key_sha256}.{serial_text(held.serial)}",
        profile=held.profile,
        role=str(held.role),
        purpose=str(held.purpose),
        party=None if is_hidden else held.party_id,
        station=held.station_id,
        tbs_sha256=held.tbs_sha256,
        not_before_ms=held.not_before_ms,
        not_after_ms=held.not_after_ms,
        issued_at_ms=held.issued_at_ms,
        entry=None if state is None else state.index,
        is_gap=state is None or state.is_gap,
        revoked_at_ms=None if listed.revocation is None else listed.revocation.revoked_at_ms,
        reason=None if listed.revocation is None else listed.revocation.reason.value,
        invalid_from_ms=None if listed.revocation is None else listed.revocation.invalid_from_ms,
        certificate=None if is_hidden else certificate,
    )


def _is_hidden(principal: Principal, held: Issued) -> bool:
    """Whether the caller is not to learn whose it is: a person's, for everybody but the person and the operator."""
    return held.role is Role.EVU and principal.role not in (Role.EVU, Role.OPS)


def _after(office: Office, sought: Sought, after: int) -> Iterator[Listed]:
    while listed := office.listing.page(sought, after=after):
        yield from listed
        after = listed[-1].number
