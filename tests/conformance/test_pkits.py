"""NIST's PKITS judges stage 1 and the CRLs: no case that is invalid is accepted, and every one refused has a reason.

Certificates and CRLs come with the package `cryptography-vectors`, expectations from the vectors folder. PKITS has RSA
keys, no host names and longer chains than ours, so the rules are the web PKI's without its demands on a leaf; what is
demanded of policies is what stage 2 demands of a real credential. The differences, by group, are in
`pkits_differences.toml`.
"""

import importlib.util
import json
import tomllib
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import SignatureAlgorithmOID
from cryptography.x509.verification import ExtensionPolicy
from msgspec.structs import replace

from pki import binding, keys, path
from pki.errors import Refused
from pki.opened import OpenedCertificate
from pki.roles import Purpose
from pki.status import Scope, Signing, StatusSet
from tests.support import vectors

NOW_MS = 1_795_305_600_000  # 2026-11-22; the trust anchor is valid until the end of 2030
ANCHOR = "TrustAnchorRoot"
LONGEST = 16
DIFFERENCES: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("pkits_differences.toml").read_text(encoding="utf-8")
)
REFUSED = {name: code for group in DIFFERENCES.values() for code, names in group["refused"].items() for name in names}


def _data() -> Path | None:
    """The folder with `certs` and `crls` that the package brings, if it is installed."""
    found = importlib.util.find_spec("cryptography_vectors")
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / "x509" / "PKITS_data" if places else None


def _cases() -> list[dict[str, Any]]:
    return [case for file in sorted((vectors.root() / "pkits").glob("*.json")) for case in json.loads(file.read_text())]


CASES = _cases()
DATA = _data()
pytestmark = [
    pytest.mark.skipif(not CASES, reason="vectors 'pkits' are absent (FLEXLEDGER_VECTORS names the folder)"),
    pytest.mark.skipif(DATA is None, reason="package 'cryptography-vectors' is absent (requirements-vectors.txt)"),
]


def _read(kind: str, name: str) -> bytes:
    assert DATA is not None
    return (DATA / kind / name).read_bytes()


@cache
def _anchor() -> x509.Certificate:
    return path.load(_read("certs", f"{ANCHOR}Certificate.crt"))


def _key(key: object) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    path.WEB.require_authority_key(key)
    return key if isinstance(key, rsa.RSAPublicKey) else keys.require_authority_key(key)


RULES = replace(path.WEB, leaf=ExtensionPolicy.permit_all(), max_depth=LONGEST, max_intermediates=LONGEST)
SIGNING = Signing(_key, frozenset({SignatureAlgorithmOID.RSA_WITH_SHA256}))


def _scope(certificate: x509.Certificate) -> Scope:
    """PKITS sometimes asks about an authority without anything below it."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return Scope.USER
    return Scope.AUTHORITY if found.ca else Scope.USER


def _require_policy(chain: tuple[OpenedCertificate, ...], wanted: list[str]) -> None:
    """As stage 2: every certificate below the root has one policy, the same, and it is wanted (none: any will do)."""
    found = {frozenset(binding.role_policies(certificate)) for certificate in chain[:-1]}
    policies = {policy.dotted_string for every in found for policy in every}
    if len(found) != 1 or len(policies) != 1 or (wanted and not policies <= set(wanted)):
        raise binding.RoleMismatch("the policies are not the one that was asked for")


def _judge(case: dict[str, Any]) -> tuple[OpenedCertificate, ...]:
    """The chain, if the case's leaf is good; every setting that a case has, it has about policies."""
    names = [name for name in case.get("other_certs", []) if not name.startswith(ANCHOR)]
    chain = path.build(
        _read("certs", case["cert"]),
        [_read("certs", name) for name in names],
        [_anchor()],
        at_ms=NOW_MS,
        rules=RULES,
    )
    lists = dict.fromkeys([*case.get("crls", []), f"{ANCHOR}CRL.crl"])
    status = StatusSet((_read("crls", name) for name in lists), signing=SIGNING)
    for certificate, issuer in pairwise(one.certificate for one in chain):
        of_issuer = status.crl_for(issuer, NOW_MS, _scope(certificate))
        of_issuer.require_not_revoked(certificate.serial_number, NOW_MS)
    if "params" in case:
        _require_policy(chain, case["params"].get("user_initial_policy_set", []))
    return chain


def _verdict(case: dict[str, Any]) -> str:
    try:
        chain = _judge(case)
    except Refused as refusal:
        return refusal.code
    with pytest.raises(Refused):  # without a role, nothing passes stage 2
        binding.bind(chain, purpose=Purpose.SIGNING, roles=None, allow_development=True)
    return "accepted"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_pkits(case: dict[str, Any], ran: Callable[[str, int], None]) -> None:
    ran("pkits", 1)
    verdict = _verdict(case)
    if "error" in case:
        assert verdict != "accepted"
    else:
        assert verdict == REFUSED.get(case["name"], "accepted")


def test_every_listed_difference_is_a_case_that_is_valid() -> None:
    listed = [name for group in DIFFERENCES.values() for names in group["refused"].values() for name in names]
    assert len(listed) == len(set(listed))
    assert set(listed) <= {case["name"] for case in CASES if "error" not in case}
    assert all(group["why"] and group["never"] for group in DIFFERENCES.values())


def test_a_revoked_leaf_is_called_revoked_and_a_missing_list_is_not() -> None:
    by_name = {case["name"]: case for case in CASES}
    assert _verdict(by_name["invalid_revoked_ee_test3"]) == "pki/revoked"
    assert _verdict(by_name["invalid_revoked_ca_test2"]) == "pki/revoked"
    assert _verdict(by_name["missing_crl_test1"]) == "pki/status-indeterminate"
