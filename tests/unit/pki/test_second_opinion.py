"""pkilint and our lint, side by side: what we issue pleases both, and what is wrong displeases at least one."""

import dataclasses
import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from pki.authority import Subscriber
from pki.lint import second_opinion
from pki.lint.examine import LintFailed, examine
from pki.lint.rules import RULES
from pki.lint.subject import Examined
from pki.roles import Group, Purpose, Role
from pki.store.records import Issued
from tests.support import pki_world, profile_samples

pytestmark = pytest.mark.skipif(second_opinion.installed() is None, reason="pkilint is not installed")

CLIENT = Purpose.TLS_CLIENT
SAMPLES = profile_samples.samples()


def _made(world: Any) -> Iterator[Issued]:
    """Public-key certificates; a store holds claims too."""
    yield from (one for one in world.made.store.find() if one.profile in SAMPLES)


def test_every_certificate_of_a_ceremony_pleases_both(world: Any) -> None:
    made = [x509.load_der_x509_certificate(one.der) for one in _made(world)]
    assert len(made) > 25  # our own lint let them through, or they would not be there
    for certificate in made:
        second_opinion.require_clean(certificate)


@pytest.mark.parametrize("development", [False, True])
def test_every_profile_pleases_both(development: bool) -> None:
    for sample in profile_samples.samples(development=development).values():
        second_opinion.require_clean(sample.certificate)


def test_without_development_there_is_nothing_to_excuse() -> None:
    assert [found for sample in SAMPLES.values() for found in second_opinion.findings(sample.certificate)] == []


def test_what_is_excused_still_occurs_and_nothing_else_does(world: Any) -> None:
    found = {
        finding for one in _made(world) for finding in second_opinion.findings(x509.load_der_x509_certificate(one.der))
    }
    assert found == {(known.code, known.message) for known in second_opinion.KNOWN}
    assert all(known.why for known in second_opinion.KNOWN)


# Each with who is known to find it; if pkilint learns more, or forgets, this says so.
OURS, BOTH, THEIRS = "ours", "both", "pkilint"


def _replaced(value: x509.ExtensionType, critical: bool = False) -> dict[str, Any]:
    return {"replaced": {value.oid: (value, critical)}}


def _usage(**more: bool) -> dict[str, Any]:
    off = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return _replaced(x509.KeyUsage(**{"digital_signature": True, **off, **more}), critical=True)


def _subject(text: str, *more: x509.NameAttribute[str]) -> dict[str, Any]:
    organisation = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Aurora Flex")
    return {"subject": x509.Name([*more, organisation, x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])}


URI = x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")
ODD = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
GARBAGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\xff\xfe garbage")
ANY = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
POLICY = x509.ObjectIdentifier("1.2.3.4")
MUTATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown critical extension": ({"added": ((ODD, True),)}, OURS),
    "garbage in an unknown extension": ({"added": ((GARBAGE, False),)}, OURS),
    "any usage": (_replaced(ANY), OURS),
    "NUL in the common name": (_subject("FI-AUR\x00"), OURS),
    "bidi control in the common name": (_subject("FI-\u202eAUR"), OURS),
    "country QQ": (_subject("FI-AUR", x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "QQ")), OURS),
    "empty subject": ({"subject": x509.Name([])}, BOTH),
    "keyCertSign on a leaf": (_usage(key_cert_sign=True), BOTH),
    "no key usage": ({"replaced": {ExtensionOID.KEY_USAGE: None}}, OURS),
    "NUL in a host name": (_replaced(x509.SubjectAlternativeName([URI, x509.DNSName("a\x00.example")])), BOTH),
    "space in a host name": (_replaced(x509.SubjectAlternativeName([URI, x509.DNSName("a .example")])), BOTH),
    "relative URI": (_replaced(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("a/b")])), BOTH),
    "name constraints on a leaf": (
        {"added": ((x509.NameConstraints([x509.DNSName("example")], None), True),)},
        BOTH,
    ),
    "a policy twice": (
        _replaced(x509.CertificatePolicies([x509.PolicyInformation(POLICY, None), x509.PolicyInformation(POLICY, [])])),
        BOTH,
    ),
    "no alternative name": ({"replaced": {ExtensionOID.SUBJECT_ALTERNATIVE_NAME: None}}, OURS),
    "no policies": ({"replaced": {ExtensionOID.CERTIFICATE_POLICIES: None}}, OURS),
}


@pytest.mark.parametrize("what", sorted(MUTATIONS))
def test_every_mutation_is_found_by_at_least_one(world: Any, what: str) -> None:
    changes, expected = MUTATIONS[what]
    issuing = world.made.hierarchy.issuing[Group.FO]
    leaf = world.forge(world.chain("FI-AUR", CLIENT)[0], issuing, **changes)[0]
    certificate = x509.load_der_x509_certificate(leaf)
    asked = world.order("FI-AUR", CLIENT)
    ours = {rule.name for rule in RULES for _ in rule.check(Examined(certificate, issuing.certificate, asked, True))}
    good = x509.load_der_x509_certificate(world.chain("FI-AUR", CLIENT)[0])
    examine(Examined(good, issuing.certificate, asked, True))
    excused = {(known.code, known.message) for known in second_opinion.KNOWN}
    theirs = set(second_opinion.findings(certificate)) - excused
    who = {(True, True): BOTH, (True, False): OURS, (False, True): THEIRS, (False, False): "nobody"}
    assert who[bool(ours), bool(theirs)] == expected


def test_what_displeases_pkilint_is_not_issued_and_not_recorded(own_world: Any) -> None:
    def never(_certificate: x509.Certificate) -> None:
        raise LintFailed("pkilint pkix.test", expected="no finding", found=1)

    before = len(list(_made(own_world)))
    authority = dataclasses.replace(own_world.made.hierarchy.issuing[Group.FO], second_opinion=never)
    opened = pki_world.request_for(pki_world.keys.generate())
    given: Any = {
        "profile": SAMPLES["FO/TLS_CLIENT/v1"].profile,
        "subscriber": Subscriber(party_id="FI-NEW", organisation="New"),
        "now_ms": own_world.tls_at_ms,
    }
    with pytest.raises(LintFailed):
        authority.issue(opened, **given)
    assert len(list(_made(own_world))) == before
    asked = dataclasses.replace(authority, second_opinion=second_opinion.require_clean)
    assert asked.issue(opened, **given).issuer == authority.certificate.subject


def test_a_ceremony_asks_if_it_is_told_to() -> None:
    asked: list[x509.Certificate] = []
    made = pki_world.ceremony.perform(
        pki_world.SPEC,
        tls_now_ms=pki_world.TLS_AT_MS,
        signing_now_ms=pki_world.SIGNING_AT_MS,
        second_opinion=asked.append,
    )
    assert len(asked) == len(made.store.find())
    assert made.parties["FI-AUR"].role is Role.FO


def test_where_the_package_is_absent_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert second_opinion.installed() is None
