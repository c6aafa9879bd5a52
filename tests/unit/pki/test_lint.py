"""Every rule finds what it is for."""

import datetime as dt
import ipaddress
import re
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID, NameOID

from pki import oids, profiles
from pki.asn1.flexrole import FlexRole, encode
from pki.lint.rules import RULES
from pki.lint.subject import Examined
from pki.roles import Group, Purpose, Role, Service
from pki.trust import encoded
from tests.support import pki_world

PURPOSE = Purpose.TLS_CLIENT


def _found(world: Any, party: str, **changes: Any) -> set[str]:
    order = world.order(party, PURPOSE)
    issuing = world.made.hierarchy.authority_of(order.profile.role)
    leaf = world.forge(world.chain(party, PURPOSE)[0], issuing, **changes)[0]
    examined = Examined(x509.load_der_x509_certificate(leaf), issuing.certificate, order, development=True)
    return {rule.name for rule in RULES for _ in rule.check(examined)}


def _ext(value: x509.ExtensionType, critical: bool = False) -> dict[str, Any]:
    return {"replaced": {value.oid: (value, critical)}}


def _gone(oid: x509.ObjectIdentifier) -> dict[str, Any]:
    return {"replaced": {oid: None}}


URI = x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")


def _san(*found: x509.GeneralName) -> dict[str, Any]:
    return _ext(x509.SubjectAlternativeName([URI, *found]))


def _usage(*set_ones: str) -> dict[str, Any]:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return _ext(x509.KeyUsage(**{name: name in set_ones for name in every}), critical=True)


def _policies(*found: x509.ObjectIdentifier, qualifier: str | None = None) -> dict[str, Any]:
    qualifiers = None if qualifier is None else [qualifier]
    return _ext(x509.CertificatePolicies([x509.PolicyInformation(oid, qualifiers) for oid in found]))


def _subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> dict[str, Any]:
    return {"subject": x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])}


ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
BIG = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x82\x40\x00" + bytes(0x4000))
GARBAGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\xff\xfe garbage")
NO_REV_AVAIL = x509.UnrecognizedExtension(oids.NO_REV_AVAIL, b"\x05\x00")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # 1024 bits, on purpose
    RSA_1024 = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505
RSA_4096 = rsa.RSAPublicNumbers(65537, (1 << 4095) | 1).public_key()


def _crl_point(
    place: str = "http://pki.flexledger.example/crl/fo.crl",
    reasons: frozenset[x509.ReasonFlags] | None = None,
    crl_issuer: list[x509.GeneralName] | None = None,
) -> dict[str, Any]:
    where: list[x509.GeneralName] = [x509.UniformResourceIdentifier(place)]
    return _ext(x509.CRLDistributionPoints([x509.DistributionPoint(where, None, reasons, crl_issuer)]))


RESPONDER = (AuthorityInformationAccessOID.OCSP, "http://pki.flexledger.example/pki/ocsp")
ISSUER = (AuthorityInformationAccessOID.CA_ISSUERS, "http://pki.flexledger.example/pki/fo.crt")


def _access(*places: tuple[x509.ObjectIdentifier, str]) -> dict[str, Any]:
    found = [x509.AccessDescription(method, x509.UniformResourceIdentifier(place)) for method, place in places]
    return _ext(x509.AuthorityInformationAccess(found))


def _critical_usage() -> dict[str, Any]:
    return _ext(x509.ExtendedKeyUsage(profiles.get(Role.FO, PURPOSE).ekus), critical=True)


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("short serial", {"serial": 7}, "serial"),
    ("oversize", {"added": ((BIG, False),)}, "size"),
    ("before its issuer", {"not_before": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, "validity"),
    ("too long", {"not_after": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)}, "validity"),
    ("weak key", {"public_key": ec.generate_private_key(ec.SECP256K1()).public_key()}, "key"),
    ("foreign key id", _ext(x509.SubjectKeyIdentifier(b"\x01" * 20)), "key-identifiers"),
    ("foreign issuer key id", _ext(x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)), "key-identifiers"),
    ("authority", _ext(x509.BasicConstraints(ca=True, path_length=None), critical=True), "basic-constraints"),
    ("no usage", _gone(ExtensionOID.KEY_USAGE), "key-usage"),
    ("signs certificates", _usage("digital_signature", "key_cert_sign"), "key-usage"),
    ("enciphers keys", _usage("digital_signature", "key_encipherment"), "key-usage"),
    ("no extended usage", _gone(ExtensionOID.EXTENDED_KEY_USAGE), "extended-key-usage"),
    (
        "any usage",
        _ext(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        "extended-key-usage",
    ),
    ("unmarked", _policies(oids.CP_FO), "policies"),
    ("two policies", _policies(oids.CP_FO, oids.CP_TEST, oids.CP_CSO), "policies"),
    ("qualified", _policies(oids.CP_FO, oids.CP_TEST, qualifier="https://x.example"), "policies"),
    ("unknown extension", {"added": ((ODD, False),)}, "extensions"),
    (
        "critical role",
        _ext(
            x509.UnrecognizedExtension(
                oids.FLEX_ROLE, encode(FlexRole(Role.FO, "FI-AUR", frozenset({Service.DROOP, Service.FFR})))
            ),
            critical=True,
        ),
        "extensions",
    ),
    ("no status", _gone(ExtensionOID.CRL_DISTRIBUTION_POINTS), "status"),
    ("no place to ask", _gone(ExtensionOID.AUTHORITY_INFORMATION_ACCESS), "status"),
    ("responder over TLS", _access((RESPONDER[0], RESPONDER[1].replace("http", "https")), ISSUER), "pointers"),
    ("no responder", _access(ISSUER), "access"),
    ("no issuer", _access(RESPONDER), "access"),
    ("two responders", _access(RESPONDER, RESPONDER, ISSUER), "access"),
    ("responder of another zone", _access((RESPONDER[0], "http://pki.evil.example/pki/ocsp"), ISSUER), "access"),
    ("revocation is said not to be available", {"added": ((NO_REV_AVAIL, False),)}, "status"),
    ("partial list", _crl_point(reasons=frozenset({x509.ReasonFlags.key_compromise})), "pointers"),
    ("list of another issuer", _crl_point(crl_issuer=[x509.DirectoryName(x509.Name([]))]), "pointers"),
    ("list over TLS", _crl_point(place="https://pki.flexledger.example/crl/fo.crl"), "pointers"),
    ("SHA-384 with P-256", {"digest": hashes.SHA384()}, "signature-algorithm"),
    ("critical extended usage", _critical_usage(), "extensions"),
    ("critical unknown extension", {"added": ((ODD, True),)}, "extensions"),
    ("garbage in an unknown extension", {"added": ((GARBAGE, False),)}, "extensions"),
    ("RSA-1024", {"public_key": RSA_1024}, "key"),
    ("RSA-4096", {"public_key": RSA_4096}, "key"),
    ("P-521", {"public_key": ec.generate_private_key(ec.SECP521R1()).public_key()}, "key"),
    ("110 years", {"not_after": dt.datetime(2136, 1, 1, tzinfo=dt.UTC)}, "validity"),
    ("role that cannot be read", _ext(x509.UnrecognizedExtension(oids.FLEX_ROLE, b"\x30\x01")), "role"),
    ("country", _subject((NameOID.COUNTRY_NAME, "QQ"), (NameOID.COMMON_NAME, "FI-AUR")), "subject"),
    ("65 characters", _subject((NameOID.ORGANIZATION_NAME, "x" * 65), (NameOID.COMMON_NAME, "FI-AUR")), "subject"),
    ("empty subject", _subject(), "subject"),
    ("two names", _subject((NameOID.COMMON_NAME, "a"), (NameOID.COMMON_NAME, "b")), "subject"),
    ("NUL in subject", _subject((NameOID.COMMON_NAME, "a\x00b")), "subject"),
    ("bidi in subject", _subject((NameOID.COMMON_NAME, "a\u202eb")), "subject"),
    ("no names", _gone(ExtensionOID.SUBJECT_ALTERNATIVE_NAME), "subject-alternative-name"),
    ("wildcard", _san(x509.DNSName("*.fo.flexledger.example")), "subject-alternative-name"),
    ("foreign host", _san(x509.DNSName("a.cso.flexledger.example")), "subject-alternative-name"),
    ("address", _san(x509.IPAddress(ipaddress.ip_address("192.0.2.1"))), "subject-alternative-name"),
    ("no role", _gone(oids.FLEX_ROLE), "role"),
    (
        "another party",
        _ext(x509.UnrecognizedExtension(oids.FLEX_ROLE, encode(FlexRole(Role.FO, "FI-OTHER")))),
        "role",
    ),
]


def test_the_key_of_the_authority_is_found_in_a_leaf(world: Any) -> None:
    key = world.made.hierarchy.issuing[Group.FO].signer.public_key()
    assert "own-key" in _found(world, "FI-AUR", public_key=key)


@pytest.mark.parametrize(("what", "changes", "rule"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_it_is_for(world: Any, what: str, changes: dict[str, Any], rule: str) -> None:
    assert _found(world, "FI-AUR") == set()
    assert rule in _found(world, "FI-AUR", **changes)


def test_an_evu_whose_subject_says_more_is_found(world: Any) -> None:
    assert _found(world, "evu-1") == set()
    assert "privacy" in _found(world, "evu-1", **_subject((NameOID.COMMON_NAME, "Somebody")))


def test_a_certificate_of_another_issuer_is_found(world: Any) -> None:
    order = world.order("FI-AUR", PURPOSE)
    leaf = x509.load_der_x509_certificate(world.chain("FI-AUR", PURPOSE)[0])
    other = world.made.hierarchy.issuing[Group.CSO].certificate
    examined = Examined(leaf, other, order, development=True)
    found = {rule.name for rule in RULES for _ in rule.check(examined)}
    assert {"issuer-name", "key-identifiers"} <= found


def test_an_authority_that_may_name_addresses_is_found(world: Any) -> None:
    issuing = world.made.hierarchy.issuing[Group.FO].certificate
    root = world.made.hierarchy.root
    value = x509.NameConstraints([x509.DNSName("fo.flexledger.example")], None)
    forged = world.forge(encoded(issuing), root, replaced={value.oid: (value, True)})[0]
    examined = Examined(
        x509.load_der_x509_certificate(forged), root.certificate, profiles.AUTHORITIES[Group.FO], development=True
    )
    assert {rule.name for rule in RULES for _ in rule.check(examined)} == {"name-constraints"}


def test_a_responder_for_a_root_that_has_none_is_found(world: Any) -> None:
    issuing, root = world.made.hierarchy.issuing[Group.FO].certificate, world.made.hierarchy.root
    forged = world.forge(encoded(issuing), root, **_access(RESPONDER, ISSUER))[0]
    examined = Examined(
        x509.load_der_x509_certificate(forged), root.certificate, profiles.AUTHORITIES[Group.FO], development=True
    )
    assert {rule.name for rule in RULES for _ in rule.check(examined)} == {"access"}


def test_a_pseudonym_that_is_a_name_is_found(world: Any) -> None:
    assert "privacy" in _found(world, "evu-1", **_subject((NameOID.PSEUDONYM, "Somebody")))


def test_a_certificate_of_version_1_is_found(world: Any) -> None:
    def without(body: Any) -> None:
        body["version"] = 0
        body["extensions"].clear()

    issuing = world.made.hierarchy.issuing[Group.FO]
    leaf = pki_world.resigned(world.chain("FI-AUR", PURPOSE)[0], issuing.signer, without)
    examined = Examined(
        x509.load_der_x509_certificate(leaf), issuing.certificate, world.order("FI-AUR", PURPOSE), development=True
    )
    assert "version" in {rule.name for rule in RULES for _ in rule.check(examined)}


def test_every_rule_has_a_citation_and_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert [rule.name for rule in RULES if not re.search(r"RFC \d+|NIST|GDPR|design|ECV-DESS", rule.citation)] == []


def test_every_rule_is_tried_here() -> None:
    tried = {case[2] for case in CASES} | {"privacy", "issuer-name", "name-constraints", "version", "own-key"}
    assert tried == {rule.name for rule in RULES}
