"""`flexledger pki issue` and `renew`: a certificate for a request in a file, without the service."""

from pathlib import Path

from cryptography import x509

from api.cli.files import read_file
from api.cli.pki_offline import DONE, Offline, answered, name_of, opened, save_chain, say
from api.flows.enrolment import fitting, hosts_in, require_same_names, subscriber
from pki import csr, profiles
from pki.authority import Subscriber
from pki.roles import Purpose, Role, Service
from pki.store.codes import Invitation


def run(config: Path, request: Path, asked: Invitation, *, out: Path, json: bool) -> int:
    """Exit code 0 when the certificate is in `out`, 2 when none was issued."""

    def act() -> int:
        with opened(config) as office:
            invitation = fitting(asked)
            (purpose,) = invitation.purposes
            data = read_file(request, csr.MAX_CSR_BYTES)
            return _issue(office, data, invitation.role, purpose, subscriber(invitation, purpose), out, json)

    return answered(act, json=json)


def renew(config: Path, name: str, request: Path, *, out: Path, json: bool) -> int:
    """Exit code 0 when the certificate that follows the named one is in `out`, 2 when none was issued."""

    def act() -> int:
        with opened(config) as office:
            held = office.held(name)
            purpose = held.purpose or Purpose.TLS_CLIENT
            data = read_file(request, csr.MAX_CSR_BYTES)
            certificate = x509.load_der_x509_certificate(held.der)
            require_same_names(data, certificate)
            proven = office.directory().validate(held.der, office.now_ms(purpose), purpose=purpose)
            followed = Subscriber(
                party_id=proven.party_id,
                organisation=proven.organisation,
                services=frozenset(Service(one) for one in proven.services),
                delegated_by=proven.delegated_by,
                dns_names=hosts_in(certificate),
                station_id=proven.station_id,
            )
            return _issue(office, data, proven.role, purpose, followed, out, json)

    return answered(act, json=json)


def _issue(
    office: Offline, data: bytes, role: Role, purpose: Purpose, subscriber: Subscriber, out: Path, json: bool
) -> int:
    authority = office.issuing.hierarchy.authority_of(role)
    certificate = authority.issue(
        csr.open_csr(data),
        profile=profiles.get(role, purpose),
        subscriber=subscriber,
        now_ms=office.now_ms(purpose),
    )
    save_chain(out, certificate, authority.certificate)
    held = office.issuing.store.get(authority.key_sha256, certificate.serial_number)
    document = {"name": name_of(held), "profile": held.profile, "not_after_ms": held.not_after_ms, "file": out.name}
    say(document, f"{out}: {held.profile} for {subscriber.party_id}\n  {name_of(held)}", json=json)
    return DONE
