"""The roots that are believed."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys, oids
from pki.errors import Refused
from pki.opened import MAX_CERTIFICATE_BYTES, Malformed, Oversize, reopened

MAX_ANCHOR_BYTES = 8 * MAX_CERTIFICATE_BYTES
_PEM = b"-----BEGIN"
_UNFIT = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
)


class BadAnchor(Refused):
    """Not a root certificate that can be trusted."""

    code = "pki/bad-anchor"
    title = "Trust anchor refused"


class DevelopmentCredential(Refused):
    """A credential of a development hierarchy where only real ones count."""

    code = "pki/development-credential"
    title = "Development credential"


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Self-signed P-256 or P-384 roots. A development root makes this raise unless `allow_development`.

    `roots` are DER certificates, or PEM bundles; afterwards `certificates` holds them in order.
    """

    roots: tuple[bytes, ...]
    allow_development: bool = False
    certificates: tuple[x509.Certificate, ...] = ()

    def __init__(self, roots: Iterable[bytes], *, allow_development: bool = False) -> None:
        found = tuple(certificate for data in roots for certificate in _load(data))
        if not found:
            raise BadAnchor("there is no root to trust")
        for root in found:
            require_root(root)
            _require_readable(root)
            if is_marked(root) and not allow_development:
                raise DevelopmentCredential("a development root is not trusted here")
        object.__setattr__(self, "roots", tuple(encoded(root) for root in found))
        object.__setattr__(self, "certificates", found)
        object.__setattr__(self, "allow_development", allow_development)


def encoded(certificate: x509.Certificate) -> bytes:
    """DER."""
    return certificate.public_bytes(Encoding.DER)


def is_marked(certificate: x509.Certificate) -> bool:
    """Whether the certificate carries the policy of development hierarchies."""
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return False
    return any(policy.policy_identifier == oids.CP_TEST for policy in policies)


def issued_any(issuer: x509.Certificate, certificates: Iterable[x509.Certificate]) -> bool:
    """Whether the key of `issuer` signed one of these, as names and signature say; nothing else is looked at."""
    for certificate in certificates:
        with suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            certificate.verify_directly_issued_by(issuer)
            return True
    return False


def require_root(root: x509.Certificate) -> None:
    """Self-signed with an allowed key, a CA that may sign certificates and CRLs; or BadAnchor, WeakKey."""
    keys.require_authority_key(keys.key_of(root))
    try:
        root.verify_directly_issued_by(root)
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = root.extensions.get_extension_for_class(x509.KeyUsage)
    except _UNFIT as error:
        raise BadAnchor("not a self-signed certification authority") from error
    allowed = constraints.critical and constraints.value.ca and usage.critical
    if not (allowed and usage.value.key_cert_sign and usage.value.crl_sign):
        raise BadAnchor("the root may not sign certificates and CRLs")


def _require_readable(root: x509.Certificate) -> None:
    """It can be taken apart as every certificate on a path is; or BadAnchor, WeakKey, `keys.KeyEncoding`."""
    try:
        reopened(root)
    except (Malformed, Oversize) as error:
        raise BadAnchor("the root cannot be read") from error


def _load(data: bytes) -> list[x509.Certificate]:
    if len(data) > MAX_ANCHOR_BYTES:
        raise BadAnchor("the root file is too large", expected=f"at most {MAX_ANCHOR_BYTES} bytes")
    try:
        if data.lstrip().startswith(_PEM):
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise BadAnchor("not a certificate") from error
