"""Certification requests: the key is taken, everything else in them is ignored."""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from pki import keys
from pki.asn1 import der
from pki.errors import Refused

MAX_CSR_BYTES = 8192
_PEM = b"-----BEGIN"
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
_SPKI_PLACE = 2  # after version and subject


class BadRequest(Refused):
    """Not a PKCS#10 request that we can read."""

    code = "pki/csr-malformed"
    title = "Certification request cannot be read"


class OversizeRequest(Refused):
    """A PKCS#10 request beyond the cap."""

    code = "pki/csr-oversize"
    title = "Certification request too large"


class NoPossession(Refused):
    """The request is not signed by the key in it (RFC 2986 section 3)."""

    code = "pki/csr-proof-of-possession"
    title = "No proof of possession"


@dataclass(frozen=True, slots=True)
class OpenedCsr:
    """A key whose holder asked for a certificate. Names, extensions and attributes of the request are left behind."""

    public_key: keys.PublicKey
    spki_sha256: str


def open_csr(data: bytes) -> OpenedCsr:
    """The key in `data` (DER or PEM, at most 8 kB), proven to be held by whoever made the request, and good enough.

    Raises OversizeRequest, BadRequest, `keys.WeakKey`, `keys.KeyEncoding` or NoPossession.
    """
    if len(data) > MAX_CSR_BYTES:
        raise OversizeRequest("the request is too large", expected=f"at most {MAX_CSR_BYTES} bytes", found=len(data))
    try:
        pem = data.lstrip().startswith(_PEM)
        request = x509.load_pem_x509_csr(data) if pem else x509.load_der_x509_csr(data)
        key = request.public_key()
    except _UNREADABLE as error:
        raise BadRequest("not a certification request") from error
    public_key = keys.require_leaf_key(key)
    written = der.child(request.tbs_certrequest_bytes, _SPKI_PLACE, "request")
    keys.require_plain(key, written)
    try:
        possessed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NoPossession("the signature of the request cannot be checked") from error
    if not possessed:
        raise NoPossession("the request is not signed by the key in it")
    return OpenedCsr(public_key=public_key, spki_sha256=hashlib.sha256(written).hexdigest())
