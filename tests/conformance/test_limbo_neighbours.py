"""Neighbours of the cases of x509-limbo, made here: the same faults in other places, and the good case beside each bad one.

The suite in the vectors folder is a sample, and whoever only passes a sample has learnt it by heart. The rules are
the web PKI's, as for the suite itself.
"""

import datetime as dt
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki import path
from pki.errors import Refused
from pki.trust import encoded

NOW = dt.datetime(2026, 1, 20, tzinfo=dt.UTC)
NOW_MS = int(NOW.timestamp()) * 1000
HOST = "a.example.com"
USAGES = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
Extensions = dict[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool] | None]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
        **dict.fromkeys(USAGES, False),
    )


def _ext(value: x509.ExtensionType, critical: bool = False) -> Extensions:
    return {value.oid: (value, critical)}


@dataclass
class Made:
    """One certificate of a chain, and how it differs from a good one."""

    subject: str
    authority: bool
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    changes: Extensions = field(default_factory=dict)
    serial: int = 0x1122334455667788
    not_before: dt.datetime = NOW - dt.timedelta(days=1)
    not_after: dt.datetime = NOW + dt.timedelta(days=30)

    def signed_by(self, issuer: "Made") -> x509.Certificate:
        """The certificate, under `issuer`."""
        public, above = self.key.public_key(), issuer.key.public_key()
        extensions: Extensions = {
            **_ext(x509.BasicConstraints(self.authority, None), critical=True),
            **_ext(_usage(authority=self.authority), critical=True),
            **_ext(x509.SubjectKeyIdentifier.from_public_key(public)),
            **_ext(x509.AuthorityKeyIdentifier.from_issuer_public_key(above)),
        }
        if not self.authority:
            extensions |= _ext(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=not self.subject)
            extensions |= _ext(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
        builder = x509.CertificateBuilder(
            _name(issuer.subject), _name(self.subject), public, self.serial, self.not_before, self.not_after
        )
        for value in {**extensions, **self.changes}.values():
            if value is not None:
                builder = builder.add_extension(value[0], critical=value[1])
        return builder.sign(issuer.key, hashes.SHA256())


@dataclass
class Chain:
    """A root, an intermediate, a leaf."""

    root: Made = field(default_factory=lambda: Made("Root", authority=True))
    middle: Made = field(default_factory=lambda: Made("Middle", authority=True))
    leaf: Made = field(default_factory=lambda: Made("Leaf", authority=False))

    def check(self, host: x509.DNSName | x509.IPAddress | None = None) -> tuple[x509.Certificate, ...]:
        """Stage 1 of it, as a server of that name."""
        return path.build(
            encoded(self.leaf.signed_by(self.middle)),
            [encoded(self.middle.signed_by(self.root))],
            [self.root.signed_by(self.root)],
            at_ms=NOW_MS,
            rules=path.WEB,
            server_name=host or x509.DNSName(HOST),
        )


def _with(who: str, **changes: Any) -> Chain:
    chain = Chain()
    return replace(chain, **{who: replace(getattr(chain, who), **changes)})


def _changed(who: str, value: x509.ExtensionType, critical: bool = False) -> Callable[[], Chain]:
    return lambda: _with(who, changes=_ext(value, critical))


def _without(who: str, kind: type[x509.ExtensionType]) -> Callable[[], Chain]:
    return lambda: _with(who, changes={kind.oid: None})


def _names(*found: x509.GeneralName) -> Callable[[], Chain]:
    return _changed("leaf", x509.SubjectAlternativeName(found))


def _constrained(
    who: str, permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None, critical: bool = True
) -> Callable[[], Chain]:
    return _changed(who, x509.NameConstraints(permitted, excluded), critical)


def _both(of_middle: Callable[[], Chain], of_leaf: Callable[[], Chain]) -> Callable[[], Chain]:
    return lambda: replace(of_middle(), leaf=of_leaf().leaf)


def _keyed(who: str, key: Callable[[], Any]) -> Callable[[], Chain]:
    return lambda: _with(who, key=key())


SKI, AKI = x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier
SECOND = dt.timedelta(seconds=1)
NETWORK = ipaddress.ip_network
DIRECTORY = x509.DirectoryName(_name("Leaf"))

BAD: dict[str, Callable[[], Chain]] = {
    # RFC 5280 section 4.2.1.1 and 4.2.1.2
    "intermediate without AKI": _without("middle", AKI),
    "leaf without AKI": _without("leaf", AKI),
    "root without AKI and SKI": lambda: _with("root", changes={AKI.oid: None, SKI.oid: None}),
    "critical AKI in the intermediate": _changed("middle", AKI(b"\x01" * 20, None, None), critical=True),
    "intermediate without SKI": _without("middle", SKI),
    "root without SKI": _without("root", SKI),
    "critical SKI in the intermediate": _changed("middle", SKI(b"\x01" * 20), critical=True),
    "critical SKI in the root": _changed("root", SKI(b"\x01" * 20), critical=True),
    "critical SKI in the leaf": _changed("leaf", SKI(b"\x01" * 20), critical=True),
    "AKI of the root without key id": _changed("root", AKI(None, [DIRECTORY], 7)),
    "AKI of the root with everything": _changed("root", AKI(b"\x01" * 20, [DIRECTORY], 7)),
    # Section 4.2.1.9, 4.2.1.3
    "intermediate without basic constraints": _without("middle", x509.BasicConstraints),
    "root without basic constraints": _without("root", x509.BasicConstraints),
    "basic constraints of the intermediate not critical": _changed("middle", x509.BasicConstraints(True, None)),
    "basic constraints of the root not critical": _changed("root", x509.BasicConstraints(True, None)),
    "root with path length 0": _changed("root", x509.BasicConstraints(True, 0), critical=True),
    "intermediate without key usage": _without("middle", x509.KeyUsage),
    "root that may not sign certificates": _changed("root", _usage(authority=False), critical=True),
    "leaf that may sign certificates": _changed("leaf", _usage(authority=True), critical=True),
    # Section 4.2.1.12
    "leaf for clients": _changed("leaf", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
    "intermediate for clients": _changed("middle", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
    "intermediate for anything": _changed(
        "middle", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    ),
    "leaf for servers and anything": _changed(
        "leaf", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    ),
    "critical usage of the leaf": _changed("leaf", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True),
    # Sections 4.2.1.5, 4.2.1.11, 4.2.1.14
    "policy constraints in the intermediate": _changed("middle", x509.PolicyConstraints(0, None), critical=True),
    "policy constraints in the root": _changed("root", x509.PolicyConstraints(0, None), critical=False),
    "inhibit any policy in the root": _changed("root", x509.InhibitAnyPolicy(0), critical=True),
    # Section 4.2.1.10
    "excluded by the root": _constrained("root", None, [x509.DNSName("example.com")]),
    "not permitted by the root": _constrained("root", [x509.DNSName("example.org")], None),
    "not permitted, though its end is alike": _constrained("middle", [x509.DNSName("le.com")], None),
    "constraints not critical in the root": _constrained("root", [x509.DNSName("example.com")], None, critical=False),
    "constraint of a directory name": _constrained("middle", [DIRECTORY], None),
    "constraint of a URI, and a URI": _both(
        _constrained("middle", [x509.UniformResourceIdentifier("example.com")], None),
        _names(x509.DNSName(HOST), x509.UniformResourceIdentifier("https://a.example.com")),
    ),
    "constraints in the leaf": _constrained("leaf", [x509.DNSName("example.com")], None),
    # Section 4.1.2
    "serial number 0 in the intermediate": lambda: _with("middle", serial=0),
    "intermediate expired a second ago": lambda: _with("middle", not_after=NOW - SECOND),
    "root expired a second ago": lambda: _with("root", not_after=NOW - SECOND),
    "root not valid for another second": lambda: _with("root", not_before=NOW + SECOND),
    "intermediate with an empty subject": lambda: _with("middle", subject=""),
    # Keys (CA/B BR 6.1.5)
    "P-192 in the leaf": _keyed("leaf", lambda: ec.generate_private_key(ec.SECP192R1())),
    "P-224 in the intermediate": _keyed("middle", lambda: ec.generate_private_key(ec.SECP224R1())),
    "secp256k1 in the root": _keyed("root", lambda: ec.generate_private_key(ec.SECP256K1())),
    "RSA of 2047 bits in the leaf": _keyed("leaf", lambda: rsa.generate_private_key(65537, 2047)),  # noqa: S505
    "RSA of 2052 bits in the leaf": _keyed("leaf", lambda: rsa.generate_private_key(65537, 2052)),
    "RSA of 1024 bits in the root": _keyed("root", lambda: rsa.generate_private_key(65537, 1024)),  # noqa: S505
    # Names (RFC 6125)
    "another name": _names(x509.DNSName("b.example.com")),
    "the parent": _names(x509.DNSName("example.com")),
    "a wildcard too high": _names(x509.DNSName("*.com")),
    "a wildcard too low": _names(x509.DNSName("*.a.example.com")),
    "a wildcard inside": _names(x509.DNSName("a*.example.com")),
    "a wildcard alone": _names(x509.DNSName("*")),
    "a trailing dot": _names(x509.DNSName("a.example.com.")),
    "an address as a name": _names(x509.DNSName("192.0.2.1")),
    "only a URI": _names(x509.UniformResourceIdentifier(f"https://{HOST}")),
    "critical names beside a subject": _changed("leaf", x509.SubjectAlternativeName([x509.DNSName(HOST)]), True),
}

GOOD: dict[str, Callable[[], Chain]] = {
    "as it is": Chain,
    "root without AKI": _without("root", AKI),
    "path length 1 in the root": _changed("root", x509.BasicConstraints(True, 1), critical=True),
    "path length 0 in the intermediate": _changed("middle", x509.BasicConstraints(True, 0), critical=True),
    "permitted by the root": _constrained("root", [x509.DNSName("example.com")], None),
    "another name excluded": _constrained("middle", None, [x509.DNSName("b.example.com")]),
    "addresses excluded": _constrained("middle", None, [x509.IPAddress(NETWORK("0.0.0.0/0"))]),
    "intermediate for servers": _changed("middle", x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
    "valid from this second": lambda: _with("leaf", not_before=NOW),
    "valid until this second": lambda: _with("leaf", not_after=NOW),
    "a wildcard": _names(x509.DNSName("*.example.com")),
    "other letters": _names(x509.DNSName("A.EXAMPLE.com")),
    "no subject, critical names": lambda: _with("leaf", subject=""),
    "P-384 in the leaf": _keyed("leaf", lambda: ec.generate_private_key(ec.SECP384R1())),
    "RSA of 2048 bits in the leaf": _keyed("leaf", lambda: rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.filterwarnings("ignore")  # weak keys and odd numbers, made on purpose
def test_a_bad_neighbour_is_refused(what: str) -> None:
    with pytest.raises(Refused):
        BAD[what]().check()


@pytest.mark.parametrize("what", GOOD)
def test_a_good_neighbour_is_accepted(what: str) -> None:
    assert len(GOOD[what]().check()) == 3


def test_an_address_is_compared_as_an_address() -> None:
    chain = _names(x509.IPAddress(ipaddress.ip_address("192.0.2.1")))()
    assert chain.check(x509.IPAddress(ipaddress.ip_address("192.0.2.1")))
    for other in ("192.0.2.2", "::ffff:192.0.2.1"):
        with pytest.raises(path.Untrusted):
            chain.check(x509.IPAddress(ipaddress.ip_address(other)))
    with pytest.raises(path.Untrusted):
        Chain().check(x509.IPAddress(ipaddress.ip_address("192.0.2.1")))
