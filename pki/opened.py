"""A certificate taken apart once, for all who look at it on a path.

The library (`cryptography`) reads it, names and extensions too; the octets of its parts are kept beside what they mean.
Certificates of one authority say most things in the very same octets, and what octets mean does not change: an
extension or a name that was read a moment ago is not read again. Nothing else is remembered here, least of all that
anything was good.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct, structs

from pki import keys
from pki.asn1 import tlv
from pki.errors import Refused

MAX_CERTIFICATE_BYTES: Final = 16_384
MAX_SERIAL_BITS: Final = 159  # positive and at most 20 octets (RFC 5280 section 4.1.2.2)
MAX_REMEMBERED: Final = 4096
"""Extensions, and names, whose meaning is remembered."""
MAX_REMEMBERED_BYTES: Final = 1024
"""A larger one is read each time: a stranger's padding is not kept."""

_remembered: dict[bytes, "Extension"] = {}
"""What the library read in an Extension of RFC 5280, by its octets: it is the same in every certificate that has it."""

_LONG: Final = 0x80
_MEMBERS: Final = 7  # version, serial number, algorithm, issuer, validity, subject, key
_VERSION: Final = tlv.context(0)
_EXTENSIONS: Final = tlv.context(3)
_EMPTY: Final = tlv.sequence()
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UserWarning,  # a bad serial number or an overlong attribute of a name, where warnings are errors
)

Kind = TypeVar("Kind", bound=x509.ExtensionType)
Extension: TypeAlias = "x509.Extension[x509.ExtensionType]"


class Oversize(Refused):
    """A certificate beyond the cap, or more intermediates than are looked at."""

    code = "pki/oversize"
    title = "Certificate or chain too large"


class Malformed(Refused):
    """Bytes that are not a certificate, or one that breaks RFC 5280 in form."""

    code = "pki/malformed"
    title = "Malformed certificate"


class OpenedCertificate(Struct, frozen=True, eq=False, gc=False):
    """A certificate of version 3 with its parts: names, key and signed part are DER, times Unix milliseconds.

    The last second of validity counts whole (RFC 5280 section 4.1.2.5). Two are equal if their octets are.
    """

    der: bytes
    certificate: x509.Certificate
    tbs: bytes
    serial: int
    issuer: bytes
    subject: bytes
    spki: bytes
    not_before_ms: int
    not_after_ms: int
    extensions: Mapping[x509.ObjectIdentifier, Extension]

    def __eq__(self, other: object) -> bool:
        """The same octets."""
        return isinstance(other, OpenedCertificate) and self.der == other.der

    def __hash__(self) -> int:
        """Of the octets."""
        return hash(self.der)

    def __repr__(self) -> str:
        """The octets say more than a line can hold."""
        return f"OpenedCertificate(serial={self.serial:x})"

    def get(self, kind: type[Kind]) -> Kind | None:
        """The value of the extension of this kind, None if it is absent."""
        found = self.extensions.get(kind.oid)
        value = None if found is None else found.value
        return value if isinstance(value, kind) else None

    @property
    def subject_name(self) -> x509.Name:
        """The subject as the library reads it."""
        return _name(self.subject)


def open_certificate(data: bytes) -> OpenedCertificate:
    """The certificate in `data` (DER, at most 16 kB): its extensions can be read, its serial number and key are proper.

    Raises Oversize, Malformed, `keys.KeyEncoding` or `keys.WeakKey`.
    """
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise Oversize("a certificate is too large", expected=f"at most {MAX_CERTIFICATE_BYTES}", found=len(data))
    try:
        certificate = x509.load_der_x509_certificate(data)
        serial = certificate.serial_number
        version = certificate.version
        key = certificate.public_key()
        begins_ms = int(certificate.not_valid_before_utc.timestamp()) * 1000
        ends_ms = int(certificate.not_valid_after_utc.timestamp()) * 1000
        tbs, (issuer, subject, spki), written = _parts(data)
        _name(issuer), _name(subject)
        extensions = _read(written)
    except _UNREADABLE as error:
        raise Malformed("not a certificate that can be read") from error
    if version is not x509.Version.v3:
        raise Malformed("the certificate is not of version 3")
    if serial <= 0 or serial.bit_length() > MAX_SERIAL_BITS:
        raise Malformed("the serial number is not positive or too long")
    keys.require_plain(key, spki)
    return OpenedCertificate(data, certificate, tbs, serial, issuer, subject, spki, begins_ms, ends_ms, extensions)


def signed_as(der: bytes, read: OpenedCertificate) -> OpenedCertificate | None:
    """The certificate `der`, if what is signed in it is octet for octet what is signed in `read`; else None.

    The library reads it whole, and what was read of the same octets before is true of these. Raises Malformed.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
    except _UNREADABLE as error:
        raise Malformed("not a certificate that can be read") from error
    start, _ = _span(der, 0)
    _, end = _span(der, start)
    return structs.replace(read, der=der, certificate=certificate) if der[start:end] == read.tbs else None


def opened(given: bytes | OpenedCertificate) -> OpenedCertificate:
    """What is open already, or `given` opened; raises what `open_certificate` raises."""
    return given if isinstance(given, OpenedCertificate) else open_certificate(given)


def reopened(certificate: x509.Certificate) -> OpenedCertificate:
    """The same of a certificate that the library has read; raises what `open_certificate` raises."""
    return open_certificate(certificate.public_bytes(Encoding.DER))


def _parts(data: bytes) -> tuple[bytes, tuple[bytes, bytes, bytes], list[bytes]]:
    """The signed part; issuer, subject and key; and each extension. The library has read `data`, so it has this form.

    Raises ValueError for a certificate without a version, which is of the first and cannot have extensions.
    """
    start, _ = _span(data, 0)
    at, end = _span(data, start)
    tbs = data[start:end]
    if data[at] != _VERSION:
        raise x509.InvalidVersion("a certificate of version 1 has no extensions", 0)
    found = []
    for _ in range(_MEMBERS):
        _, stop = _span(data, at)
        found.append(data[at:stop])
        at = stop
    extensions: list[bytes] = []
    while at < end:  # unique identifiers, which nobody uses, and extensions
        tag = data[at]
        start, at = _span(data, at)
        if tag == _EXTENSIONS:
            place, last = _span(data, start)
            while place < last:
                size = data[place + 1]
                stop = place + 2 + size if size < _LONG else _span(data, place)[1]
                extensions.append(data[place:stop])
                place = stop
    return tbs, (found[3], found[5], found[6]), extensions


def _span(data: bytes, at: int) -> tuple[int, int]:
    """Where the contents of the element at `at` start and end, in DER that the library has read."""
    size, start = data[at + 1], at + 2
    if size < _LONG:
        return start, start + size
    contents = start + (size & ~_LONG)
    return contents, contents + int.from_bytes(data[start:contents], "big")


def _read(written: list[bytes]) -> dict[x509.ObjectIdentifier, Extension]:
    """The extensions in their order; those that were read before are not read again."""
    known = {octets: _remembered.get(octets) for octets in written}
    fresh = [octets for octets in written if known[octets] is None]
    read = dict(zip(fresh, _around(extensions=b"".join(fresh)).extensions, strict=True)) if fresh else {}
    found: dict[x509.ObjectIdentifier, Extension] = {}
    for octets in written:
        extension = known[octets] or read[octets]
        if extension.oid in found:
            raise x509.DuplicateExtension("an extension stands twice", extension.oid)
        found[extension.oid] = extension
    if len(_remembered) + len(read) > MAX_REMEMBERED:
        _remembered.clear()
    _remembered.update((octets, one) for octets, one in read.items() if len(octets) <= MAX_REMEMBERED_BYTES)
    return found


def _name(octets: bytes) -> x509.Name:
    """What the library reads in the Name that `octets` are."""
    return _short_name(octets) if len(octets) <= MAX_REMEMBERED_BYTES else _around(subject=octets).subject


@lru_cache(maxsize=MAX_REMEMBERED)
def _short_name(octets: bytes) -> x509.Name:
    return _around(subject=octets).subject


def _around(*, subject: bytes = _EMPTY, extensions: bytes | None = None) -> x509.Certificate:
    """A certificate that nobody signed, with nothing else in it, for the library to read."""
    said = () if extensions is None else (tlv.element(_EXTENSIONS, tlv.sequence(extensions)),)
    return x509.load_der_x509_certificate(tlv.sequence(tlv.sequence(_BEFORE, subject, _KEY, *said), _AFTER))


_ALGORITHM: Final = tlv.sequence(tlv.identifier("1.3.101.112"))
_KEY: Final = tlv.sequence(_ALGORITHM, tlv.bits(bytes(32)))
_BEFORE: Final = b"".join(
    (
        tlv.element(_VERSION, tlv.integer(2)),
        tlv.integer(1),
        _ALGORITHM,
        _EMPTY,
        tlv.sequence(tlv.time(0), tlv.time(0)),
    )
)
_AFTER: Final = _ALGORITHM + tlv.bits(b"")
