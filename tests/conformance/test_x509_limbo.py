"""C2SP's x509-limbo judges stage 1: every case, and every difference from what it expects has a reason.

The suite is made for the web PKI, so the path is built by the same function with the web PKI's rules in place of ours.
The differences are in `x509_limbo_differences.toml`. A false accept is listed only if stage 2, which every real
credential passes, cannot let it through.
"""

import base64
import datetime as dt
import ipaddress
import json
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from msgspec.structs import replace

from pki import binding, path
from pki.errors import Refused
from pki.opened import OpenedCertificate
from pki.roles import Purpose
from pki.status import StatusSet
from tests.support import vectors

NOW_MS = 1_795_305_600_000  # 2026-11-22, the suite's certificates are valid
SLOWEST_S = 1.0

DIFFERENCES: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("x509_limbo_differences.toml").read_text(encoding="utf-8")
)
SAFE, ACCEPTED = DIFFERENCES["refused"], DIFFERENCES["accepted"]


def _cases() -> list[dict[str, Any]]:
    files = sorted((vectors.root() / "x509-limbo").glob("*.json"))
    return [case for file in files for case in json.loads(file.read_text())["testcases"]]


CASES = _cases()


def _der(pem: str) -> bytes:
    return base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))


def _at_ms(case: dict[str, Any]) -> int:
    written = case["validation_time"]
    return NOW_MS if written is None else int(dt.datetime.fromisoformat(written).timestamp() * 1000)


def _server(case: dict[str, Any]) -> x509.DNSName | x509.IPAddress | None:
    name = case["expected_peer_name"]
    if case["validation_kind"] == "CLIENT" or name is None:
        return None
    if name["kind"] == "IP":
        return x509.IPAddress(ipaddress.ip_address(name["value"]))
    return x509.DNSName(name["value"])


def _run(case: dict[str, Any]) -> tuple[OpenedCertificate, ...]:
    depth = case["max_chain_depth"]
    rules = path.WEB if depth is None else replace(path.WEB, max_depth=min(depth, path.WEB.max_depth))
    at_ms = _at_ms(case)
    chain = path.build(
        _der(case["peer_certificate"]),
        [_der(pem) for pem in case["untrusted_intermediates"]],
        [path.load(_der(pem)) for pem in case["trusted_certs"]],
        at_ms=at_ms,
        rules=rules,
        server_name=_server(case),
    )
    if case["crls"]:
        status = StatusSet(_der(pem) for pem in case["crls"])
        status.crl_for(chain[1].certificate, at_ms).require_not_revoked(chain[0].serial, at_ms)
    return chain


@pytest.mark.skipif(not CASES, reason="vectors 'x509-limbo' are absent (FLEXLEDGER_VECTORS names the folder)")
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_limbo(case: dict[str, Any], ran: Callable[[str, int], None]) -> None:
    ran("x509-limbo", 1)
    expected = case["expected_result"] == "SUCCESS"
    name = case["id"]
    start = time.perf_counter()
    try:
        chain = _run(case)
    except Refused as error:
        if expected and name not in SAFE:
            pytest.fail(f"refused although good: {error}")
    else:
        assert expected or name in ACCEPTED
        with pytest.raises(Refused):
            binding.bind(chain, purpose=Purpose.TLS_SERVER, roles=None, allow_development=True)
    assert time.perf_counter() - start < SLOWEST_S


@pytest.mark.skipif(not CASES, reason="vectors 'x509-limbo' are absent (FLEXLEDGER_VECTORS names the folder)")
def test_every_listed_difference_is_still_one() -> None:
    by_name = {case["id"]: case for case in CASES}
    for name in SAFE.keys() & by_name.keys():
        assert by_name[name]["expected_result"] == "SUCCESS"
        with pytest.raises(Refused):
            _run(by_name[name])
    for name in ACCEPTED.keys() & by_name.keys():
        assert by_name[name]["expected_result"] == "FAILURE"
        assert _run(by_name[name])
