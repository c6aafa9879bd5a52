"""OpenSSL judges: chains, policies, host names and revocation as it sees them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import ceremony, profiles
from pki.asn1.claims import Claim, ConformityClaims, Scheme, Thing, ThingKind
from pki.attribute import AttributeAuthority
from pki.ceremony import Ceremony, CeremonySpec, PartySpec, StationSpec
from pki.roles import Group, Purpose, Role, Service
from pki.store.records import Reason
from pki.tbs import Window

AT_MS = 1_768_867_200_000
OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command")

SPEC = CeremonySpec(
    organisation="Flexledger",
    development=True,
    parties=(
        PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora Flex"),
        PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate", dns_names=("localhost",)),
        PartySpec(id="FI-VOL", role=Role.CSP, organisation="Voltwise"),
        PartySpec(id="FI-LAB", role=Role.CB, organisation="Laboratory"),
        PartySpec(id="FI-DSO", role=Role.SO, organisation="Grid"),
        PartySpec(id="evu-1", role=Role.EVU),
    ),
    stations=(StationSpec(id="E1", operator="FI-NGC"),),
)


@pytest.fixture(scope="module")
def made() -> Ceremony:
    return ceremony.perform(SPEC, tls_now_ms=AT_MS, signing_now_ms=AT_MS)


def _openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)


def _files(made: Ceremony, chain: tuple[bytes, ...], folder: Path) -> list[str | Path]:
    names = ("leaf.pem", "issuing.pem")
    for name, data in zip(names, chain, strict=True):
        (folder / name).write_bytes(x509.load_der_x509_certificate(data).public_bytes(Encoding.PEM))
    (folder / "root.pem").write_bytes(made.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    return [
        "-attime",
        str(AT_MS // 1000 + 1),
        "-CAfile",
        folder / "root.pem",
        "-untrusted",
        folder / "issuing.pem",
        folder / "leaf.pem",
    ]


EVERYONE = [
    *(
        (party.id, purpose)
        for party in SPEC.parties
        for purpose in Purpose
        if (party.role, purpose) in profiles.PROFILES
    ),
    ("E1", Purpose.TLS_CLIENT),
    ("E1", Purpose.SIGNING),
]


@pytest.mark.parametrize(("holder", "purpose"), EVERYONE)
def test_openssl_accepts_every_chain_under_its_policy_and_under_no_other(
    made: Ceremony, tmp_path: Path, holder: str, purpose: Purpose
) -> None:
    minted = made.parties.get(holder) or made.stations[holder]
    files = _files(made, minted.credentials[purpose].chain, tmp_path)
    own = profiles.get(minted.role, purpose).policy
    for policy in profiles.POLICY_OF_GROUP.values():
        result = _openssl(
            "verify", "-x509_strict", "-policy_check", "-explicit_policy", "-policy", policy.dotted_string, *files
        )
        assert (result.returncode == 0) is (policy == own), result.stderr


def test_openssl_accepts_clients_as_clients_and_the_server_as_itself(made: Ceremony, tmp_path: Path) -> None:
    cso = made.parties["FI-NGC"].credentials
    client = _files(made, cso[Purpose.TLS_CLIENT].chain, tmp_path)
    assert _openssl("verify", "-x509_strict", "-purpose", "sslclient", *client).returncode == 0
    assert _openssl("verify", "-x509_strict", "-purpose", "sslserver", *client).returncode != 0
    server = _files(made, cso[Purpose.TLS_SERVER].chain, tmp_path)
    verify = ("verify", "-x509_strict", "-purpose", "sslserver")
    assert _openssl(*verify, "-verify_hostname", "localhost", *server).returncode == 0
    assert _openssl(*verify, "-verify_hostname", "example.com", *server).returncode != 0
    assert _openssl("verify", "-x509_strict", "-purpose", "sslclient", *server).returncode != 0
    signing = _files(made, cso[Purpose.SIGNING].chain, tmp_path)
    for purpose in ("sslclient", "sslserver"):
        assert _openssl("verify", "-x509_strict", "-purpose", purpose, *signing).returncode != 0


def test_openssl_sees_a_revocation(tmp_path: Path) -> None:
    made = ceremony.perform(SPEC, tls_now_ms=AT_MS, signing_now_ms=AT_MS)
    issued = made.parties["FI-AUR"].credentials[Purpose.TLS_CLIENT]
    files = _files(made, issued.chain, tmp_path)

    def verify(name: str, crls: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
        pem = b"".join(x509.load_der_x509_crl(data).public_bytes(Encoding.PEM) for data in crls.values())
        (tmp_path / name).write_bytes(pem)
        return _openssl("verify", "-x509_strict", "-crl_check_all", "-CRLfile", tmp_path / name, *files)

    assert _openssl("verify", "-crl_check_all", *files).returncode != 0
    clean = verify("clean.pem", made.hierarchy.crl(AT_MS))
    assert clean.returncode == 0, clean.stderr
    made.hierarchy.issuing[Group.FO].revoke(issued.certificate.serial_number, Reason.KEY_COMPROMISE, AT_MS)
    revoked = verify("revoked.pem", made.hierarchy.crl(AT_MS))
    assert revoked.returncode != 0
    assert "certificate revoked" in revoked.stderr


def test_openssl_reads_a_claim_and_a_crl_of_claims(made: Ceremony, tmp_path: Path) -> None:
    body = made.parties["FI-LAB"].credentials[Purpose.ATTRIBUTE]
    claim = Claim("EN 50549-10", "2022", Scheme.TYPE_TEST, "LAB-1", frozenset({Service.DROOP}), ("FI",))
    office = AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)
    content = ConformityClaims((Thing(ThingKind.EVSE, "11" * 32),), (claim,))
    data = office.issue_claim(content, window=Window(AT_MS, AT_MS + 86_400_000), now_ms=AT_MS)
    (tmp_path / "claim.der").write_bytes(data)
    result = _openssl("asn1parse", "-inform", "DER", "-in", tmp_path / "claim.der")
    assert result.returncode == 0
    assert "1.3.6.1.4.1.32473.63382.4.1" in result.stdout
    assert "EN 50549-10" in result.stdout
    (tmp_path / "claims.crl").write_bytes(made.claims_crl("FI-LAB", AT_MS))
    shown = _openssl("crl", "-inform", "DER", "-in", tmp_path / "claims.crl", "-noout", "-text")
    assert "Only Attribute Certificates" in shown.stdout
