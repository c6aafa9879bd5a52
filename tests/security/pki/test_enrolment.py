"""Requests for certificates that ask for more, each under the name that the catalogue of attacks gives it."""

import base64
import dataclasses
import ipaddress
import time
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID
from pyasn1.codec.der import decoder
from pyasn1.type import univ
from pyasn1_alt_modules import rfc2986

from pki import blocklist, csr, keys, names, oids, profiles
from pki.asn1 import flexrole
from pki.asn1.flexrole import FlexRole
from pki.authority import KeyReused, Subscriber
from pki.errors import Refused
from pki.lint.examine import LintFailed
from pki.roles import Purpose, Role
from pki.store.records import Reason
from tests.support import pki_world

CLIENT = Purpose.TLS_CLIENT
PARTY = Subscriber(party_id="FI-NEW", organisation="New Flex")
SLOWEST_S = 0.05


def _request(key: Any, *extensions: x509.ExtensionType, subject: x509.Name | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    for value in extensions:
        builder = builder.add_extension(value, critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def _resigned(key: keys.Signer, change: Any) -> bytes:
    """A request whose signed part was changed, with a good signature over it."""
    request, _ = decoder.decode(_request(key), asn1Spec=rfc2986.CertificationRequest())
    change(request["certificationRequestInfo"])
    body = pki_world.der(request["certificationRequestInfo"])
    request["signature"] = univ.BitString.fromOctetString(key.sign(body, ec.ECDSA(hashes.SHA256())))
    return pki_world.der(request)


def _issued(world: Any, data: bytes, subscriber: Subscriber = PARTY) -> x509.Certificate:
    made: x509.Certificate = world.made.hierarchy.issue(
        Role.FO, CLIENT, csr.open_csr(data), subscriber=subscriber, now_ms=world.tls_at_ms
    )
    return made


def test_csr_bad_pop_refused() -> None:
    """The library reads such a request and says nothing: the signature has to be asked about."""
    victim, thief = keys.generate(), keys.generate()
    request, _ = decoder.decode(_request(thief), asn1Spec=rfc2986.CertificationRequest())
    other, _ = decoder.decode(_request(victim), asn1Spec=rfc2986.CertificationRequest())
    request["certificationRequestInfo"]["subjectPKInfo"] = other["certificationRequestInfo"]["subjectPKInfo"]
    body = pki_world.der(request["certificationRequestInfo"])
    request["signature"] = univ.BitString.fromOctetString(thief.sign(body, ec.ECDSA(hashes.SHA256())))
    data = pki_world.der(request)
    assert x509.load_der_x509_csr(data).public_key() == victim.public_key()
    with pytest.raises(csr.NoPossession):
        csr.open_csr(data)


FOREIGN_ROLE = x509.UnrecognizedExtension(oids.FLEX_ROLE, flexrole.encode(FlexRole(Role.CSO, "FI-NGC")))
ASKED: dict[str, x509.ExtensionType] = {
    "ca_true": x509.BasicConstraints(ca=True, path_length=None),
    "foreign_san": x509.SubjectAlternativeName([x509.DNSName("fcsbe.cso.flexledger.example")]),
    "ip_san": x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]),
    "identity_of_another": x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")]
    ),
    "eku": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, oids.KP_CSO_FCSBE]),
    "any_eku": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    "role": FOREIGN_ROLE,
    "policy": x509.CertificatePolicies([x509.PolicyInformation(oids.CP_CSO, None)]),
    "unknown": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
    "no_rev_avail": x509.UnrecognizedExtension(oids.NO_REV_AVAIL, b"\x05\x00"),
}


@pytest.mark.parametrize("wish", sorted(ASKED))
def test_csr_asks_ca_true_foreign_san_eku_role_or_policy_never_copied(own_world: Any, wish: str) -> None:
    """The class of GHSA-g892-p242-8g86: what a request names beside its key is not even looked at."""
    key = keys.generate()
    stranger = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FI-AUR")])
    plain = _issued(own_world, _request(key))
    wished = _issued(own_world, _request(key, ASKED[wish], subject=stranger))
    assert wished.subject == plain.subject
    assert [(one.oid, one.critical, one.value) for one in wished.extensions] == [
        (one.oid, one.critical, one.value) for one in plain.extensions
    ]


def test_a_challenge_password_in_a_csr_goes_nowhere(own_world: Any) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"canary5eed")
    data = builder.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER)
    assert b"canary5eed" in data
    assert b"canary5eed" not in _issued(own_world, data).public_bytes(Encoding.DER)
    assert set(csr.OpenedCsr.__slots__) == {"public_key", "spki_sha256"}


@pytest.mark.parametrize("host", ["192.0.2.1", "a.cso.flexledger.example", "evil.example"])
def test_san_outside_the_zone_is_refused_even_if_the_register_says_so(own_world: Any, host: str) -> None:
    with pytest.raises(LintFailed):
        _issued(own_world, _request(keys.generate()), dataclasses.replace(PARTY, dns_names=(host,)))


@pytest.mark.parametrize(
    "host", ["*.fo.flexledger.example", "a@evil.example", "https://evil.example", "2001:db8::1", "a.fo.example."]
)
def test_san_type_not_in_allow_list_refused(own_world: Any, host: str) -> None:
    """A register's entry is a host name or nothing: no wildcard, mail address, URI or address fits."""
    with pytest.raises(names.BadName):
        _issued(own_world, _request(keys.generate()), dataclasses.replace(PARTY, dns_names=(host,)))


def test_key_reuse_across_parties_refused(own_world: Any) -> None:
    data = _request(keys.generate())
    assert _issued(own_world, data)
    assert _issued(own_world, data)  # the same party, again
    with pytest.raises(KeyReused):
        _issued(own_world, data, dataclasses.replace(PARTY, party_id="FI-THIEF"))


def test_key_revoked_for_compromise_is_blocked_for_everyone_for_ever(own_world: Any) -> None:
    data = _request(keys.generate())
    held = _issued(own_world, data)
    authority = own_world.made.hierarchy.authority_of(Role.FO)
    authority.revoke(held.serial_number, Reason.KEY_COMPROMISE, own_world.tls_at_ms)
    for party in (PARTY, dataclasses.replace(PARTY, party_id="FI-THIEF")):
        with pytest.raises(KeyReused):
            _issued(own_world, data, party)


def _key(which: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "rsa_1024": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 -- weak on purpose
            "rsa_2048": lambda: rsa.generate_private_key(65537, 2048),
            "dsa": lambda: dsa.generate_private_key(1024),  # noqa: S505 -- weak on purpose
            "p192": lambda: ec.generate_private_key(ec.SECP192R1()),
            "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
            "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
            "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
            "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
        }[which]()


@pytest.mark.parametrize("which", ["rsa_1024", "rsa_2048", "dsa", "p192", "p224", "p521", "secp256k1", "brainpool"])
def test_known_weak_roca_and_debian_key_refused(which: str) -> None:
    """Weak by Debian's generator or by ROCA are RSA keys, and no RSA key of any size gets in."""
    with pytest.raises(keys.WeakKey):
        csr.open_csr(_request(_key(which)))


def test_blocked_key_refused(own_world: Any) -> None:
    key = keys.generate()
    name = keys.spki_sha256(key.public_key())
    listed = blocklist.parse(f"# found in a firmware image\n{'0' * 64}\n{name} # gateway 1.2\n\n".encode())
    authority = dataclasses.replace(own_world.made.hierarchy.authority_of(Role.FO), blocked=listed)
    profile = profiles.get(Role.FO, CLIENT)
    with pytest.raises(blocklist.KeyBlocked) as caught:
        authority.issue(csr.open_csr(_request(key)), profile=profile, subscriber=PARTY, now_ms=own_world.tls_at_ms)
    assert name not in str(caught.value)
    other = csr.open_csr(_request(keys.generate()))
    assert authority.issue(other, profile=profile, subscriber=PARTY, now_ms=own_world.tls_at_ms)


@pytest.mark.parametrize(
    "data", [b"\xff", b"00", b"0" * 63, b"A" * 64, b"0" * 65, b"0" * 64 + b" 1", b"\n" * (blocklist.MAX_BYTES + 1)]
)
def test_list_of_blocked_keys_that_cannot_be_read_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(blocklist.BadBlocklist):
        blocklist.parse(data)


def test_list_of_blocked_keys_may_be_as_large_as_the_cap() -> None:
    line = b"0" * 64 + b"\n"
    whole = (line * (blocklist.MAX_BYTES // len(line) + 1))[: blocklist.MAX_BYTES - blocklist.MAX_BYTES % len(line)]
    assert blocklist.parse(whole).digests == {"0" * 64}


def test_explicit_curve_parameters_compressed_point_and_infinity_in_a_csr_refused() -> None:
    key = keys.generate()

    def compressed(info: Any) -> None:
        point = info["subjectPKInfo"]["subjectPublicKey"].asOctets()
        short = bytes([2 + (point[-1] & 1)]) + point[1:33]
        info["subjectPKInfo"]["subjectPublicKey"] = univ.BitString.fromOctetString(short)

    def explicit(info: Any) -> None:
        info["subjectPKInfo"]["algorithm"]["parameters"] = univ.Any(pki_world.explicit_p256())

    def infinity(info: Any) -> None:
        info["subjectPKInfo"]["subjectPublicKey"] = univ.BitString.fromOctetString(b"\x00")

    assert csr.open_csr(_resigned(key, lambda _info: None))
    for change, error in ((compressed, keys.KeyEncoding), (explicit, keys.KeyEncoding), (infinity, csr.BadRequest)):
        with pytest.raises(error):
            csr.open_csr(_resigned(key, change))


def test_csr_of_another_version_refused() -> None:
    def later(info: Any) -> None:
        info["version"] = 1

    with pytest.raises(csr.BadRequest):
        csr.open_csr(_resigned(keys.generate(), later))


def test_oversize_csr_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("the request was parsed")

    for loader in ("load_der_x509_csr", "load_pem_x509_csr"):
        monkeypatch.setattr(x509, loader, never)
    for start in (b"\x30", b"-----BEGIN CERTIFICATE REQUEST-----\n"):
        with pytest.raises(csr.OversizeRequest):
            csr.open_csr(start + b"\x00" * csr.MAX_CSR_BYTES)


def _nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        head = bytes([len(value)]) if len(value) < 128 else b"\x82" + len(value).to_bytes(2)
        value = b"\x30" + head + value
    return value


@pytest.mark.parametrize("depth", [10, 1000, 1900])
def test_deeply_nested_csr_refused_or_left_unread(depth: int) -> None:
    """As a whole it is no request; as the value of an attribute nobody descends into it."""
    started = time.perf_counter()
    with pytest.raises(csr.BadRequest):
        csr.open_csr(_nested(depth))
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), _nested(depth))
    data = _request(keys.generate(), odd)
    if len(data) <= csr.MAX_CSR_BYTES:
        assert csr.open_csr(data)
    assert time.perf_counter() - started < 10 * SLOWEST_S


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x80\x00\x00", b"-----BEGIN CERTIFICATE REQUEST-----", b"\x00"])
def test_what_is_no_csr_is_refused_with_our_own_error(data: bytes) -> None:
    for written in (data, base64.b64encode(data) or b"="):
        with pytest.raises(Refused):
            csr.open_csr(written)
