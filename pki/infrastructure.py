"""Keys of the house: what signs OCSP answers for an authority, and what signs the log's checkpoints.

They have no actor role, so no party can be mistaken for one of them, nor they for a party: not one of the checks in
`validation` accepts their certificates.
"""

from dataclasses import dataclass

from cryptography import x509

from pki import binding, keys, path, profiles, tbs
from pki.authority import Authority, WrongAuthority, new_serial
from pki.names import MAX_ORGANISATION
from pki.opened import OpenedCertificate
from pki.profiles import InfrastructureProfile
from pki.tbs import InfrastructureOrder


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate with its key."""

    certificate: x509.Certificate
    signer: keys.Signer


def issue(
    authority: Authority, profile: InfrastructureProfile, *, now_ms: int, signer: keys.Signer | None = None
) -> Held:
    """A key of the house under `authority`, issued as every certificate is; `signer` is P-256, made if none is given.

    Raises WrongAuthority if this authority does not issue `profile`, `lint.examine.LintFailed`, and what
    `path.require_window` raises once the authority itself has ended.
    """
    if profile.group is not None and profile.group is not authority.group:
        raise WrongAuthority("this authority does not issue that", expected=profile.group, found=profile.name)
    path.require_window(authority.certificate, now_ms)
    key = keys.generate() if signer is None else signer
    name = f"{_kind(authority, profile)} {keys.spki_sha256(key.public_key())[:8]}"
    order = InfrastructureOrder(
        profile=profile,
        public_key=key.public_key(),
        organisation=_organisation(authority.certificate),
        name=name[:MAX_ORGANISATION],
        zone=authority.zone,
        development=authority.development,
    )
    draft = tbs.infrastructure(
        order,
        issuer=authority.certificate,
        serial=new_serial(),
        window=tbs.window_from(now_ms, profile.lifetime_ms, authority.certificate),
    )

    def check(signed: OpenedCertificate) -> None:
        signed.certificate.verify_directly_issued_by(authority.certificate)
        binding.require_infrastructure(signed.certificate, authority.certificate, profile)

    certificate = authority.certify(draft, asked=order, profile_name=profile.name, now_ms=now_ms, check=check)
    return Held(certificate, key)


def _kind(authority: Authority, profile: InfrastructureProfile) -> str:
    where = "ROOT" if authority.group is None else str(authority.group)
    return f"{where} OCSP" if profile is profiles.OCSP_SIGNER else f"{where} checkpoints"


def _organisation(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return str(found[0].value)
