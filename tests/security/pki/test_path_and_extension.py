"""Chains and extensions that must not pass, each under the name that the catalogue of attacks gives it.

A forger holds the keys of real authorities: every chain here would be good but for the one thing its name says.
"""

import datetime as dt
import json
import ssl
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from pyasn1.type import univ, useful

from pki import binding, keys, oids, path, profiles, trust
from pki.asn1 import flexrole
from pki.errors import Refused
from pki.roles import Group, Purpose, Role
from pki.trust import TrustAnchors, encoded
from tests.support import pki_world, vectors

FO, CSO = "FI-AUR", "FI-NGC"
CLIENT, SERVER = Purpose.TLS_CLIENT, Purpose.TLS_SERVER
SLOWEST_S = 1.0
EKU = x509.ExtendedKeyUsage
ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def _refused(world: Any, chain: tuple[bytes, ...], error: type[Refused], purpose: Purpose = CLIENT, **more: Any) -> str:
    """The code with which the chain is refused."""
    with pytest.raises(error) as caught:
        world.check(chain, purpose, **more)
    return caught.value.code


def _forged(world: Any, party: str = FO, purpose: Purpose = CLIENT, **changes: Any) -> tuple[bytes, ...]:
    """The party's chain with a leaf that its real authority signed after the change."""
    leaf = world.chain(party, purpose)[0]
    authority = world.made.hierarchy.authority_of(world.made.parties[party].role)
    chain: tuple[bytes, ...] = world.forge(leaf, authority, **changes)
    return chain


def _resigned(world: Any, change: Callable[[Any], None], **how: Any) -> tuple[bytes, ...]:
    """The FO's chain with a leaf whose signed part was changed below what a builder can do."""
    leaf, issuing = world.chain(FO, CLIENT)
    return pki_world.resigned(leaf, world.made.hierarchy.issuing[Group.FO].signer, change, **how), issuing


def _put(value: x509.ExtensionType, *, critical: bool = False) -> dict[str, Any]:
    return {"replaced": {value.oid: (value, critical)}}


def _gone(oid: x509.ObjectIdentifier) -> dict[str, Any]:
    return {"replaced": {oid: None}}


def test_the_forger_changes_nothing_by_herself(world: Any) -> None:
    assert world.check(_forged(world), CLIENT).party_id == FO
    assert world.check(_resigned(world, lambda _body: None), CLIENT).party_id == FO


# Extended key usage


def test_eku_absent_rejected(world: Any) -> None:
    assert _refused(world, _forged(world, **_gone(ExtensionOID.EXTENDED_KEY_USAGE)), path.Untrusted)


def test_any_eku_rejected(world: Any) -> None:
    anything = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    _refused(world, _forged(world, **_put(EKU([anything]))), path.Untrusted)
    _refused(world, _forged(world, **_put(EKU([*profiles.get(Role.FO, CLIENT).ekus, anything]))), path.Untrusted)


def test_empty_eku_rejected(world: Any) -> None:
    _refused(world, _forged(world, **_put(EKU([]))), path.Malformed)


def test_server_cert_as_client_rejected(world: Any) -> None:
    chain = world.chain(CSO, SERVER)
    assert world.check(chain, SERVER).role is Role.CSO
    _refused(world, chain, binding.WrongPurpose, CLIENT)


def test_client_as_server_rejected(world: Any) -> None:
    chain = world.chain(CSO, CLIENT)
    assert world.check(chain, CLIENT).role is Role.CSO
    _refused(world, chain, binding.WrongPurpose, SERVER)


# What must be there


def test_san_absent_rejected(world: Any) -> None:
    _refused(world, _forged(world, **_gone(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)), path.Untrusted)


def test_ku_absent_rejected(world: Any) -> None:
    _refused(world, _forged(world, **_gone(ExtensionOID.KEY_USAGE)), path.Untrusted)


# Authorities and leaves


def test_ca_as_leaf_rejected(world: Any) -> None:
    _leaf, issuing = world.chain(FO, CLIENT)
    _refused(world, (issuing,), Refused)
    _refused(world, (issuing, issuing), Refused)
    _refused(world, _forged(world, **_put(x509.BasicConstraints(True, None), critical=True)), Refused)


def test_leaf_as_ca_rejected(world: Any) -> None:
    leaf, issuing = world.chain(FO, CLIENT)

    class Rogue:
        certificate, signer = x509.load_der_x509_certificate(leaf), world.made.parties[FO].credentials[CLIENT].key

    below = world.forge(leaf, Rogue())
    _refused(world, (*below, issuing), path.Untrusted)


def _authority(world: Any, **changes: Any) -> tuple[bytes, ...]:
    """The FO's leaf under its authority's own name and key, certified anew by the root."""
    leaf, issuing = world.chain(FO, CLIENT)
    return leaf, world.forge(issuing, world.made.hierarchy.root, **changes)[0]


def test_keycertsign_missing_on_ca_rejected(world: Any) -> None:
    assert world.check(_authority(world), CLIENT).party_id == FO
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    _refused(world, _authority(world, **_put(usage, critical=True)), path.Untrusted)


def test_pathlen_0_violated_rejected(world: Any) -> None:
    """The FO authority certifies another authority of the same name, which certifies the leaf."""
    leaf, issuing = world.chain(FO, CLIENT)
    authority = world.made.hierarchy.issuing[Group.FO]
    key = keys.generate()
    below = world.forge(issuing, authority, public_key=key.public_key())[0]

    class Rogue:
        certificate, signer = x509.load_der_x509_certificate(below), key

    _refused(world, (world.forge(leaf, Rogue())[0], below, issuing), path.Untrusted)


def test_self_issued_loop_rejected(world: Any) -> None:
    """Two authorities certify each other, and neither leads to a root; nor does one that certifies itself."""
    leaf, issuing = world.chain(FO, CLIENT)

    class A:
        signer = keys.generate()
        certificate: Any = None

    class B:
        signer = keys.generate()
        certificate: Any = None

    names = {}
    for side in (A, B):
        names[side] = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, side.__name__)])
        alone = world.forge(
            issuing, world.made.hierarchy.issuing[Group.FO], subject=names[side], public_key=side.signer.public_key()
        )
        side.certificate = x509.load_der_x509_certificate(alone[0])
    a_by_b = world.forge(encoded(A.certificate), B, subject=names[A])[0]
    b_by_a = world.forge(encoded(B.certificate), A, subject=names[B])[0]
    a_by_a = world.forge(encoded(A.certificate), A, subject=names[A])[0]
    below = world.forge(leaf, A)[0]
    for loop in ((a_by_b, b_by_a), (a_by_a,), (a_by_a, a_by_b, b_by_a, a_by_a)):
        started = time.perf_counter()
        _refused(world, (below, *loop), path.Untrusted)
        assert time.perf_counter() - started < SLOWEST_S


def test_cross_signed_ca_with_different_policy_rejected(world: Any) -> None:
    """The root once certified the FO authority's key for the CSO's policy: that makes no FO a CSO, nor the reverse."""
    other = x509.CertificatePolicies(
        [x509.PolicyInformation(oids.CP_CSO, None), x509.PolicyInformation(oids.CP_TEST, None)]
    )
    crossed = _authority(world, **_put(other))
    _refused(world, crossed, binding.RoleMismatch)
    usages = EKU(profiles.AUTHORITIES[Group.CSO].ekus)
    both = {"replaced": {other.oid: (other, False), EKU.oid: (usages, False)}}
    _refused(world, _authority(world, **both), Refused)


@pytest.mark.parametrize("variant", ["case", "whitespace", "trailing space"])
def test_name_chaining_case_and_whitespace_variant_rejected(world: Any, variant: str) -> None:
    """RFC 5280 section 7.1 would fold these; compared is byte for byte."""
    organisation, common = (str(one.value) for one in world.made.hierarchy.issuing[Group.FO].certificate.subject)
    changed = {"case": common.swapcase(), "whitespace": common.replace(" ", "  "), "trailing space": common + " "}
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, changed[variant]),
        ]
    )
    _refused(world, _authority(world, subject=name), path.Untrusted)


# Size, version, numbers, times


def test_oversize_certificate_refused_before_verification(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("the certificate was parsed")

    big = trust.MAX_CERTIFICATE_BYTES - 100
    padded = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x82" + big.to_bytes(2) + bytes(big))
    chain = _forged(world, added=((padded, False),))
    monkeypatch.setattr(x509, "load_der_x509_certificate", never)
    _refused(world, chain, path.Oversize)
    _refused(world, (chain[0][:100], *chain[:1] * 5), path.Oversize)


def test_v1_cert_rejected(world: Any) -> None:
    def older(body: Any) -> None:
        body["version"] = 0
        body["extensions"].clear()

    _refused(world, _resigned(world, older), path.Malformed)


@pytest.mark.parametrize("serial", [-7, 0, 1 << 159, 1 << 160], ids=["negative", "zero", "160-bit", "21-byte"])
def test_negative_zero_and_21_byte_serial_rejected(world: Any, serial: int) -> None:
    def renumbered(body: Any) -> None:
        body["serialNumber"] = serial

    _refused(world, _resigned(world, renumbered), path.Malformed)


def test_generalized_time_before_2050_rejected(world: Any) -> None:
    def as_generalized(body: Any) -> None:
        written = str(body["validity"]["notAfter"]["utcTime"])
        body["validity"]["notAfter"].setComponentByName("generalTime", useful.GeneralizedTime(f"20{written}"))

    _refused(world, _resigned(world, as_generalized), path.Untrusted)


def test_leaf_outlives_issuer_rejected(world: Any) -> None:
    issuing = world.made.hierarchy.issuing[Group.FO].certificate
    last = issuing.not_valid_after_utc
    chain = _forged(world, not_before=last - dt.timedelta(days=10), not_after=last + dt.timedelta(seconds=1))
    at_ms = int((last - dt.timedelta(days=5)).timestamp()) * 1000
    _refused(world, chain, binding.OutlivesIssuer, at_ms=at_ms)


def test_not_yet_valid_root_and_expired_root_rejected(world: Any) -> None:
    """The leaf and the authority would be good; the root's own time is past, or has not come."""
    root = world.made.hierarchy.root
    leaf, issuing = world.chain(FO, CLIENT)
    now = dt.datetime.fromtimestamp(world.tls_at_ms // 1000, tz=dt.UTC)
    day = dt.timedelta(days=1)
    for window in ({"not_before": now + day}, {"not_after": now - day}):
        moved = world.forge(encoded(root.certificate), root, **window)[0]
        anchors = TrustAnchors([moved], allow_development=True)
        _refused(world, (leaf, issuing), path.Untrusted, anchors=anchors)


# Extensions


def test_unknown_critical_rejected(world: Any) -> None:
    _refused(world, _forged(world, added=((ODD, True),)), path.Untrusted)
    _refused(world, _authority(world, added=((ODD, True),)), path.Untrusted)


@pytest.mark.parametrize("oid", [ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.KEY_USAGE, oids.FLEX_ROLE])
def test_duplicate_extension_rejected(world: Any, oid: x509.ObjectIdentifier) -> None:
    def twice(body: Any) -> None:
        extensions = body["extensions"]
        place = next(index for index, one in enumerate(extensions) if str(one["extnID"]) == oid.dotted_string)
        extensions[len(extensions)] = extensions[place].clone(cloneValueFlag=True)

    _refused(world, _resigned(world, twice), path.Malformed)


def test_critical_role_ext_still_parsed_and_rejected(world: Any) -> None:
    """It can be read, and yet it is refused: no TLS library would take it, so nobody honest issues it."""
    value = flexrole.encode(flexrole.FlexRole(Role.FO, FO))
    chain = _forged(world, **_put(x509.UnrecognizedExtension(oids.FLEX_ROLE, value), critical=True))
    held = path.load(chain[0]).extensions.get_extension_for_oid(oids.FLEX_ROLE)
    assert held.critical
    assert flexrole.decode(held.value.public_bytes()).role is Role.FO
    _refused(world, chain, path.Untrusted)


# Keys and algorithms


def _weak(which: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if which == "P-192":
            return ec.generate_private_key(ec.SECP192R1()).public_key()
        if which == "secp256k1":
            return ec.generate_private_key(ec.SECP256K1()).public_key()
        if which == "DSA":
            return dsa.generate_private_key(1024).public_key()  # noqa: S505 -- weak on purpose
        return rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 -- weak on purpose


@pytest.mark.parametrize("which", ["RSA-1024", "secp256k1", "P-192", "DSA"])
def test_weak_leaf_keys_rejected(world: Any, which: str) -> None:
    _refused(world, _forged(world, public_key=_weak(which)), keys.WeakKey)


def test_rsa_is_refused_in_every_size_so_weak_and_roca_and_debian_keys_are_too(world: Any) -> None:
    """Lists of weak keys (Debian's generator, ROCA's primes) are lists of RSA moduli: none can get in."""
    for bits in (2048, 3072, 4096, 8192):
        key = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) | 1).public_key()
        _refused(world, _forged(world, public_key=key), keys.WeakKey)
        with pytest.raises(keys.WeakKey):
            keys.require_leaf_key(key)


def test_explicit_curve_parameters_rejected(world: Any) -> None:
    def explicit(body: Any) -> None:
        body["subjectPublicKeyInfo"]["algorithm"]["parameters"] = univ.Any(pki_world.explicit_p256())

    _refused(world, _resigned(world, explicit), keys.KeyEncoding)


def test_compressed_point_rejected(world: Any) -> None:
    """One key has one encoding, or its digest is not its name."""

    def compressed(body: Any) -> None:
        point = body["subjectPublicKeyInfo"]["subjectPublicKey"].asOctets()
        short = bytes([2 + (point[-1] & 1)]) + point[1:33]
        body["subjectPublicKeyInfo"]["subjectPublicKey"] = univ.BitString.fromOctetString(short)

    _refused(world, _resigned(world, compressed), keys.KeyEncoding)


@pytest.mark.parametrize("point", [b"\x00", b"\x04" + bytes(64), b"\x04" + b"\x01" * 64])
def test_point_at_infinity_or_off_the_curve_rejected(world: Any, point: bytes) -> None:
    def nowhere(body: Any) -> None:
        body["subjectPublicKeyInfo"]["subjectPublicKey"] = univ.BitString.fromOctetString(point)

    _refused(world, _resigned(world, nowhere), path.Malformed)


def test_the_key_of_the_authority_in_a_leaf_rejected(world: Any) -> None:
    """Whoever asks for a certificate over an authority's key could pass off that authority's signatures as hers."""
    hierarchy = world.made.hierarchy
    for authority in (hierarchy.issuing[Group.FO], hierarchy.root):
        chain = _forged(world, public_key=authority.signer.public_key())
        _refused(world, chain, binding.BadProfile)


ECDSA_WITH_SHA1, MD5_WITH_RSA = "1.2.840.10045.4.1", "1.2.840.113549.1.1.4"


@pytest.mark.parametrize(("oid", "digest"), [(ECDSA_WITH_SHA1, hashes.SHA1()), (MD5_WITH_RSA, hashes.MD5())])  # noqa: S303 -- weak on purpose
def test_sha_1_and_md5_signature_rejected(world: Any, oid: str, digest: hashes.HashAlgorithm) -> None:
    def weakly(body: Any) -> None:
        body["signature"]["algorithm"] = univ.ObjectIdentifier(oid)

    _refused(world, _resigned(world, weakly, digest=digest, outer=oid), path.Untrusted)


def test_signature_algorithm_differs_from_tbs_rejected(world: Any) -> None:
    unchanged = _resigned(world, lambda _body: None, outer=oids.ECDSA_WITH_SHA384.dotted_string)
    _refused(world, unchanged, path.Untrusted)


def test_ed25519_ca_rejected(world: Any) -> None:
    leaf, issuing = world.chain(FO, CLIENT)
    key = ed25519.Ed25519PrivateKey.generate()
    authority = world.forge(issuing, world.made.hierarchy.root, public_key=key.public_key())[0]

    class Rogue:
        certificate, signer = x509.load_der_x509_certificate(authority), key

    with pytest.raises(Refused):
        keys.require_authority_key(key.public_key())
    _refused(world, (world.forge(leaf, Rogue())[0], authority), Refused)


def _pathological() -> list[dict[str, Any]]:
    files = sorted((vectors.root() / "x509-limbo").glob("*.json"))
    cases = [case for file in files for case in json.loads(file.read_text())["testcases"]]
    return [case for case in cases if case["id"].startswith("pathological::")]


def _der(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.strip() + "\n")


@pytest.mark.parametrize("case", _pathological(), ids=lambda case: case["id"])
def test_limbo_pathological_each_under_one_second(case: dict[str, Any]) -> None:
    """Chains and lists of constraints made to keep a verifier busy, under our own rules and under the web's."""
    at_ms = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp()) * 1000
    for rules in (path.ROLES, path.WEB):
        started = time.perf_counter()
        with pytest.raises(Refused):
            path.build(
                _der(case["peer_certificate"]),
                [_der(pem) for pem in case["untrusted_intermediates"]],
                [path.load(_der(pem)) for pem in case["trusted_certs"]],
                at_ms=at_ms,
                rules=rules,
                server_name=x509.DNSName("example.com"),
            )
        assert time.perf_counter() - started < SLOWEST_S


def test_long_chain_of_own_certificates_is_refused_in_no_time(world: Any) -> None:
    """The same, made here: as many intermediates of one name as are looked at, none of which signed the leaf."""
    leaf, issuing = world.chain(FO, CLIENT)
    root = world.made.hierarchy.root
    others = [world.forge(issuing, root, public_key=keys.generate().public_key())[0] for _ in range(4)]
    started = time.perf_counter()
    _refused(world, (leaf, *others), path.Untrusted)
    assert time.perf_counter() - started < SLOWEST_S
    _refused(world, (leaf, *others, issuing), path.Oversize)
