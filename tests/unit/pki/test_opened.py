"""A certificate that was taken apart says what the library reads in it, and is refused where the library refuses it."""

import random
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from pki import keys, opened
from pki.errors import Refused
from pki.opened import OpenedCertificate, open_certificate, reopened, signed_as
from pki.opened import opened as opened_of
from pki.roles import Group, Purpose
from pki.trust import BadAnchor, TrustAnchors, encoded
from tests.support import pki_world

pytestmark = pytest.mark.slow  # takes seconds

FO = "FI-AUR"
CLIENT = Purpose.TLS_CLIENT
MUTATIONS = 4_000
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UserWarning,
)
ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    opened._remembered.clear()
    opened._short_name.cache_clear()


def _every(world: Any) -> list[bytes]:
    """Every certificate of the hierarchy: leaves of all roles, authorities, the root."""
    holders = [*world.made.parties.values(), *world.made.stations.values()]
    leaves = [one.chain[0] for holder in holders for one in holder.credentials.values()]
    return [*leaves, *(encoded(one.certificate) for one in world.made.hierarchy.authorities())]


def _is_as_the_library_reads(found: OpenedCertificate, der: bytes) -> bool:
    read = x509.load_der_x509_certificate(der)
    key = read.public_key()
    return (
        (found.der, found.tbs, found.serial) == (der, read.tbs_certificate_bytes, read.serial_number)
        and (found.issuer, found.subject) == (read.issuer.public_bytes(), read.subject.public_bytes())
        and found.subject_name == read.subject
        and found.spki == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        and found.not_before_ms == int(read.not_valid_before_utc.timestamp()) * 1000
        and found.not_after_ms == int(read.not_valid_after_utc.timestamp()) * 1000
        and list(found.extensions.values()) == list(read.extensions)
        and all(oid == one.oid for oid, one in found.extensions.items())
    )


@pytest.mark.parametrize("again", [False, True], ids=["first", "remembered"])
def test_every_part_of_every_profile_is_what_the_library_reads(world: Any, again: bool) -> None:
    certificates = _every(world)
    assert len(certificates) > 20
    for der in certificates:
        found = open_certificate(der)
        if again:
            found = open_certificate(der)
        assert _is_as_the_library_reads(found, der)
        assert found == reopened(found.certificate)
        assert opened_of(found) is found


def _library_alone(der: bytes) -> bool:
    """Whether the library reads all of it, and version, number and key are proper: what `open_certificate` promises."""
    try:
        read = x509.load_der_x509_certificate(der)
        _ = read.extensions, read.subject, read.issuer, read.not_valid_before_utc, read.not_valid_after_utc
        key = read.public_key()
        written = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return False
    is_allowed = isinstance(key, keys._READABLE)
    is_numbered = 0 < read.serial_number < 1 << opened.MAX_SERIAL_BITS
    return read.version is x509.Version.v3 and is_allowed and is_numbered and written in read.tbs_certificate_bytes


def test_octets_that_were_changed_are_refused_where_the_library_alone_would_refuse_them(world: Any) -> None:
    """The seed is fixed, the certificates' keys are not: an octet, some octets, or a piece is another."""
    drawn = random.Random(5280)
    certificates = _every(world)
    outcomes = set()
    for _ in range(MUTATIONS):
        data = bytearray(drawn.choice(certificates))
        for _ in range(drawn.choice((1, 1, 2, 4))):
            place = drawn.randrange(len(data))
            change = drawn.randrange(3)
            if change == 0:
                data[place] = drawn.randrange(256)
            elif change == 1:
                data[place] ^= 1 << drawn.randrange(8)
            else:
                data[place : place + drawn.randrange(3)] = drawn.randbytes(drawn.randrange(3))
        der = bytes(data)
        try:
            found = open_certificate(der)
        except Refused:
            assert not _library_alone(der), der.hex()
            outcomes.add("refused")
        else:
            assert _library_alone(der), der.hex()
            assert _is_as_the_library_reads(found, der), der.hex()
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


def test_a_broken_extension_is_refused_beside_those_that_were_read_before(world: Any) -> None:
    leaf = world.chain(FO, CLIENT)[0]
    assert open_certificate(leaf)
    broken = x509.UnrecognizedExtension(x509.CRLDistributionPoints.oid, b"\x30\x03\x02\x01")
    authority = world.made.hierarchy.issuing[Group.FO]
    chain = world.forge(leaf, authority, replaced={broken.oid: (broken, False)})
    for _ in range(2):
        with pytest.raises(opened.Malformed):
            open_certificate(chain[0])


def test_an_alternative_name_of_a_kind_that_the_library_does_not_know_is_malformed(world: Any) -> None:
    """Kind 3 is an x400Address, kind 5 an ediPartyName; the library has an exception of its own for both."""
    for kind in (b"\xa3\x00", b"\xa5\x00"):
        odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x02" + kind)
        authority = world.made.hierarchy.issuing[Group.FO]
        chain = world.forge(world.chain(FO, CLIENT)[0], authority, replaced={odd.oid: (odd, False)})
        with pytest.raises(opened.Malformed):
            world.check(chain, CLIENT)


def test_an_extension_means_the_same_whoever_bears_it_and_only_with_its_own_flag(world: Any) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    leaf = world.chain(FO, CLIENT)[0]
    for critical in (False, True, False):
        found = open_certificate(world.forge(leaf, authority, added=((ODD, critical),))[0])
        assert found.extensions[ODD.oid].critical is critical
        assert found.get(x509.UnrecognizedExtension) is None  # which is no kind of its own


def test_only_so_much_is_remembered(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MAX_REMEMBERED", 20)
    for der in _every(world):
        assert _is_as_the_library_reads(open_certificate(der), der)
        assert len(opened._remembered) <= 20


def test_a_large_extension_is_read_each_time_and_not_remembered(world: Any) -> None:
    authority = world.made.hierarchy.issuing[Group.FO]
    leaf = world.chain(FO, CLIENT)[0]
    for size, kept in ((900, True), (1100, False)):
        large = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("1.2.3.4"), b"\x04\x82" + size.to_bytes(2) + bytes(size)
        )
        der = world.forge(leaf, authority, added=((large, False),))[0]
        for _ in range(2):
            assert _is_as_the_library_reads(open_certificate(der), der)
        assert any(len(octets) > size for octets in opened._remembered) is kept


def test_a_large_name_is_read_each_time_and_not_remembered() -> None:
    for size, kept in ((900, 1), (1100, 0)):
        opened._short_name.cache_clear()
        units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x" * 50)] * (size // 61)
        name = x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, "padded")])
        octets = name.public_bytes()
        assert (len(octets) <= opened.MAX_REMEMBERED_BYTES) is bool(kept)
        for _ in range(2):
            assert opened._name(octets) == name
        assert opened._short_name.cache_info().currsize == kept


def test_what_was_read_counts_for_another_signature_over_the_very_same_octets_and_for_no_others(world: Any) -> None:
    leaf = world.chain(FO, CLIENT)[0]
    read = open_certificate(leaf)
    twin = pki_world.twin(leaf)
    assert twin != leaf
    found = signed_as(twin, read)
    assert found is not None
    assert _is_as_the_library_reads(found, twin)
    assert found.certificate.signature != read.certificate.signature
    authority = world.made.hierarchy.issuing[Group.FO]
    for changes in ({"serial": 7}, {"replaced": {x509.CRLDistributionPoints.oid: None}}):
        assert signed_as(world.forge(leaf, authority, **changes)[0], read) is None
    for broken in (b"", leaf[:-1], leaf + b"\x00", b"\x30\x80" + leaf[2:]):
        with pytest.raises(opened.Malformed):
            signed_as(broken, read)


def test_it_is_known_by_its_octets_and_shows_none_of_them(world: Any) -> None:
    leaf, issuing = (open_certificate(der) for der in world.chain(FO, CLIENT))
    again = open_certificate(leaf.der)
    assert (leaf == again, hash(leaf) == hash(again), leaf == issuing, leaf == leaf.der) == (True, True, False, False)
    assert repr(leaf) == f"OpenedCertificate(serial={leaf.serial:x})"


def test_a_root_that_cannot_be_taken_apart_is_no_anchor(world: Any) -> None:
    root = world.made.hierarchy.root
    assert TrustAnchors([world.forge(encoded(root.certificate), root, serial=1 << 158)[0]], allow_development=True)

    def longer(body: Any) -> None:
        body["serialNumber"] = 1 << 160

    with pytest.raises(BadAnchor):
        TrustAnchors([pki_world.resigned(encoded(root.certificate), root.signer, longer)], allow_development=True)
