"""Names that look like another, or say more than one thing, each under the name that the catalogue of attacks gives it."""

import ipaddress
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from pyasn1.type import univ

from pki import names, path
from pki.errors import Refused
from pki.roles import Group, Purpose, Role
from pki.validation import validate
from tests.support import pki_world

FO, CSO = "FI-AUR", "FI-NGC"
CLIENT, SERVER = Purpose.TLS_CLIENT, Purpose.TLS_SERVER
ZONE = "fo.flexledger.example"
URI = x509.UniformResourceIdentifier("https://id.flexledger.example/fo/FI-AUR")
SAN = x509.SubjectAlternativeName


def _refused(world: Any, error: type[Refused] = Refused, **changes: Any) -> str:
    """The code with which the FO's leaf is refused, after its real authority signed the change."""
    chain = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[Group.FO], **changes)
    with pytest.raises(error) as caught:
        world.check(chain, CLIENT)
    return caught.value.code


def _alternatives(*found: x509.GeneralName) -> dict[str, Any]:
    return {"replaced": {SAN.oid: (SAN([URI, *found]), False)}}


def _common(text: str) -> dict[str, Any]:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Aurora Flex")
    return {"subject": x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)])}


def test_a_host_name_in_the_zone_is_good(world: Any) -> None:
    chain = world.forge(
        world.chain(FO, CLIENT)[0],
        world.made.hierarchy.issuing[Group.FO],
        **_alternatives(x509.DNSName(f"a.{ZONE}")),
    )
    assert world.check(chain, CLIENT).party_id == FO


@pytest.mark.parametrize("host", [f"a\x00.evil.example.{ZONE}", f"a.{ZONE}\x00.evil.example", f"\x00.{ZONE}"])
def test_nul_in_dns_san_rejected(world: Any, host: str) -> None:
    assert _refused(world, **_alternatives(x509.DNSName(host))) in {"pki/bad-name", "pki/untrusted"}


def test_nul_in_cn_rejected(world: Any) -> None:
    assert _refused(world, **_common("FI-AUR\x00.evil.example")) == "pki/bad-name"


@pytest.mark.parametrize("text", ["FI-\u202eRUA", "\u200eFI-AUR", "FI-AUR\u2069"], ids=["rlo", "lrm", "pdi"])
def test_bidi_cn_rejected(world: Any, text: str) -> None:
    assert _refused(world, **_common(text)) == "pki/bad-name"


@pytest.mark.parametrize("text", ["FI-AUR\n", "FI\tAUR", "FI-\x7fAUR", "FI-AUR\u0085", "FI-\u200bAUR"])
def test_control_cn_rejected(world: Any, text: str) -> None:
    assert _refused(world, **_common(text)) == "pki/bad-name"


@pytest.mark.parametrize("text", ["F\u0406-AUR", "FI\u2010AUR", "\uff26I-AUR", "fi-aur"])
def test_homoglyph_cn_rejected(world: Any, text: str) -> None:
    """Cyrillic I, another hyphen, full width, another case: none is the party id of the role extension."""
    assert _refused(world, **_common(text)) == "pki/bad-name"


@pytest.mark.parametrize("host", [f"a.{ZONE}.", f"a.{ZONE} ", f" a.{ZONE}", f"a..{ZONE}", f".{ZONE}", f"A.{ZONE}"])
def test_trailing_dot_and_space_rejected(world: Any, host: str) -> None:
    assert _refused(world, **_alternatives(x509.DNSName(host))) in {"pki/bad-name", "pki/untrusted", "pki/malformed"}
    assert _refused(world, **_common("FI-AUR ")) == "pki/bad-name"
    assert _refused(world, **_common("FI-AUR.")) == "pki/bad-name"


def _authority_excluding(world: Any, excluded: str) -> Any:
    """The FO authority's name and key, certified with an excluded subtree besides."""
    constraints = x509.NameConstraints([x509.DNSName(ZONE)], [x509.DNSName(excluded)])
    issuing = world.made.hierarchy.issuing[Group.FO]
    changed = world.forge(
        world.chain(FO, CLIENT)[1],
        world.made.hierarchy.root,
        replaced={constraints.oid: (constraints, True)},
    )[0]

    class Other:
        certificate, signer = x509.load_der_x509_certificate(changed), issuing.signer

    return Other()


@pytest.mark.parametrize("host", [f"*.{ZONE}", f"*.secret.{ZONE}"])
def test_wildcard_under_excluded_subtree_rejected(world: Any, host: str) -> None:
    """x509-limbo cve-2025-61727: the wildcard covers what is excluded, though it does not stand below it."""
    authority = _authority_excluding(world, f"secret.{ZONE}")
    assert world.check(world.forge(world.chain(FO, CLIENT)[0], authority), CLIENT).party_id == FO
    chain = world.forge(world.chain(FO, CLIENT)[0], authority, **_alternatives(x509.DNSName(host)))
    with pytest.raises(path.Untrusted):
        world.check(chain, CLIENT)


def test_uri_outside_dns_constraint_rejected(world: Any) -> None:
    """Name constraints of host names bind no URI (RFC 5280 section 4.2.1.10): the zone of the identity is compared."""
    for zone in ("evil.example", "flexledger.example.evil.example", "fo.flexledger.example"):
        uri = x509.UniformResourceIdentifier(f"https://id.{zone}/fo/FI-AUR")
        assert _refused(world, replaced={SAN.oid: (SAN([uri]), False)}) == "pki/role-mismatch"


def test_other_name_outside_dns_constraint_rejected(world: Any) -> None:
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0ca@evil.examp")
    assert _refused(world, **_alternatives(other)) in {"pki/profile", "pki/untrusted"}
    assert _refused(world, **_alternatives(x509.RFC822Name("a@evil.example"))) in {"pki/profile", "pki/untrusted"}
    directory = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evil.example")]))
    assert _refused(world, **_alternatives(directory)) in {"pki/profile", "pki/untrusted"}


def test_cn_outside_dns_constraint_rejected(world: Any) -> None:
    """A common name is never a host name: not accepted, and not looked at when a server is dialled."""
    assert _refused(world, **_common("evil.example")) == "pki/bad-name"
    leaf, issuing = world.chain(CSO, SERVER)
    found = x509.load_der_x509_certificate(leaf).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert found[0].value == CSO
    with pytest.raises(Refused):
        _dialled(world, (leaf, issuing), CSO.lower())


def test_ip_in_dns_name_rejected(world: Any) -> None:
    for text in ("192.0.2.1", "2001:db8::1", f"192.0.2.1.{ZONE}:443"):
        assert _refused(world, **_alternatives(x509.DNSName(text))) in {"pki/bad-name", "pki/untrusted"}
    address = x509.IPAddress(ipaddress.ip_address("192.0.2.1"))
    assert _refused(world, **_alternatives(address)) == "pki/untrusted"


def _dialled(world: Any, chain: tuple[bytes, ...], host: str) -> Role:
    return validate(
        chain[0],
        chain[1:],
        anchors=world.made.anchors,
        status=world.status,
        at_ms=world.tls_at_ms,
        purpose=SERVER,
        server_name=host,
    ).role


A_LABEL, U_LABEL = "xn--flge-1ra.cso.flexledger.example", "flüge.cso.flexledger.example"


def _named(world: Any, host: bytes) -> tuple[bytes, ...]:
    """The CSO's server certificate with these octets as its only host name."""
    leaf, issuing = world.chain(CSO, SERVER)

    uri = b"https://id.flexledger.example/cso/FI-NGC"
    names_der = b"\x82" + bytes([len(host)]) + host + b"\x86" + bytes([len(uri)]) + uri

    def renamed(body: Any) -> None:
        for extension in body["extensions"]:
            if str(extension["extnID"]) == SAN.oid.dotted_string:
                extension["extnValue"] = univ.OctetString(b"\x30" + bytes([len(names_der)]) + names_der)

    return pki_world.resigned(leaf, world.made.hierarchy.issuing[Group.CSO].signer, renamed), issuing


def test_idn_a_label_and_u_label_are_not_the_same_name(world: Any) -> None:
    """Only the A-label is a host name: nothing is converted, so nothing can be converted differently."""
    good = _named(world, A_LABEL.encode())
    assert _dialled(world, good, A_LABEL) is Role.CSO
    with pytest.raises(names.BadName):
        _dialled(world, good, U_LABEL)
    with pytest.raises(path.Untrusted):
        _dialled(world, good, A_LABEL.replace("1ra", "2ra"))
    for written in (U_LABEL.encode(), U_LABEL.encode("latin-1")):
        with pytest.raises(Refused):
            _dialled(world, _named(world, written), A_LABEL)


def test_65_char_cn_rejected(world: Any) -> None:
    """ub-common-name is 64 (RFC 5280 appendix A.1)."""
    assert names.party_id("x" * 64, Role.FO)
    with pytest.raises(names.BadName):
        names.party_id("x" * 65, Role.FO)
    with pytest.warns(UserWarning, match="length"):
        longer = _common("x" * 65)
    # Where warnings are errors, as here, it does not even load; elsewhere the library only warns, and its name is bad.
    assert _refused(world, **longer) == "pki/malformed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _refused(world, **longer) == "pki/bad-name"
