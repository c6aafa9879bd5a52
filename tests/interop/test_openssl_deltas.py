"""OpenSSL and we read the same complete and delta CRLs, and come to the same word about a certificate."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.roles import Group, Purpose
from pki.status import Revoked, StatusIndeterminate, StatusSet
from tests.support import crls, pki_world
from tests.support.crls import COMPROMISE, HOLD, HOUR_MS, REMOVE, Line
from tests.support.pki_world import World

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
CLIENT = Purpose.TLS_CLIENT
FO = "FI-AUR"
GOOD, REVOKED, UNKNOWN = "good", "revoked", "not known"


@pytest.fixture(scope="module")
def world() -> World:
    return pki_world.perform()


def _crl(world: World, number: int, reason: x509.ReasonFlags | None = None, **changes: Any) -> bytes:
    """A list of the FO's authority; with a reason, the FO's certificate is in it. A complete one points to deltas."""
    serial = world.made.parties[FO].credentials[CLIENT].certificate.serial_number
    lines = [] if reason is None else [Line(serial, world.tls_at_ms - 3 * HOUR_MS, reason)]
    authority = changes.pop("authority", world.made.hierarchy.issuing[Group.FO])
    after_ms = changes.pop("after_ms", -HOUR_MS if "base" in changes else -2 * HOUR_MS)
    pointed: dict[str, Any] = {} if "base" in changes else {"freshest": False}
    return crls.made(authority, world.tls_at_ms + after_ms, number, lines, **pointed, **changes)


def _openssls(world: World, folder: Path, lists: tuple[bytes, ...], *more: str) -> str:
    for name, der in zip(("leaf.pem", "fo.pem"), world.chain(FO, CLIENT), strict=True):
        (folder / name).write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    (folder / "root.pem").write_bytes(world.made.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    (folder / "lists.pem").write_bytes(
        b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in lists)
    )
    command = ["openssl", "verify", "-x509_strict", "-crl_check", *more, "-attime", str(world.tls_at_ms // 1000)]
    command += ["-CRLfile", "lists.pem", "-CAfile", "root.pem", "-untrusted", "fo.pem", "leaf.pem"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode == 0:
        return GOOD
    return REVOKED if "certificate revoked" in done.stderr else UNKNOWN


def _ours(world: World, lists: tuple[bytes, ...]) -> str:
    chain = world.chain(FO, CLIENT)
    leaf, issuing = (x509.load_der_x509_certificate(der) for der in chain)
    try:
        StatusSet(lists).standing(issuing, leaf.serial_number, world.tls_at_ms)
    except Revoked:
        return REVOKED
    except StatusIndeterminate:
        return UNKNOWN
    return GOOD


@dataclass(frozen=True)
class Case:
    """Lists, and what both make of them; `why` if they differ."""

    ours: str
    theirs: str
    lists: Callable[[World], tuple[bytes, ...]]
    why: str = ""


SIGNED = "a delta that cannot be applied still says what it says: its issuer signed it; OpenSSL leaves it aside"
CASES: dict[str, Case] = {
    "complete list": Case(GOOD, GOOD, lambda w: (_crl(w, 7),)),
    "complete list with it": Case(REVOKED, REVOKED, lambda w: (_crl(w, 7, COMPROMISE),)),
    "delta without it": Case(GOOD, GOOD, lambda w: (_crl(w, 7), _crl(w, 8, base=7))),
    "delta with it": Case(REVOKED, REVOKED, lambda w: (_crl(w, 7), _crl(w, 8, COMPROMISE, base=7))),
    "delta of an earlier base, with it": Case(REVOKED, REVOKED, lambda w: (_crl(w, 7), _crl(w, 8, COMPROMISE, base=5))),
    "delta that ends a hold": Case(GOOD, GOOD, lambda w: (_crl(w, 7, HOLD), _crl(w, 8, REMOVE, base=7))),
    "it stays in the complete list": Case(REVOKED, REVOKED, lambda w: (_crl(w, 7, COMPROMISE), _crl(w, 8, base=7))),
    "delta of another issuer": Case(
        GOOD,
        GOOD,
        lambda w: (_crl(w, 7), _crl(w, 8, COMPROMISE, base=7, authority=w.made.hierarchy.issuing[Group.CSO])),
    ),
    "delta alone, without it": Case(UNKNOWN, UNKNOWN, lambda w: (_crl(w, 8, base=7),)),
    "delta alone, with it": Case(REVOKED, UNKNOWN, lambda w: (_crl(w, 8, COMPROMISE, base=7),), why=SIGNED),
    "delta of a later base, without it": Case(
        UNKNOWN,
        GOOD,
        lambda w: (_crl(w, 7), _crl(w, 9, base=8)),
        why="a list is missing between the two: what it revoked is in neither; OpenSSL leaves the delta aside",
    ),
    "delta of a later base, with it": Case(
        REVOKED, GOOD, lambda w: (_crl(w, 7), _crl(w, 9, COMPROMISE, base=8)), why=SIGNED
    ),
    "stale complete list, delta in force": Case(GOOD, GOOD, lambda w: (_crl(w, 7, hours=1), _crl(w, 8, base=7))),
    "stale delta": Case(GOOD, GOOD, lambda w: (_crl(w, 7), _crl(w, 8, base=7, after_ms=-3 * HOUR_MS // 2, hours=1))),
    "stale delta with it": Case(
        REVOKED, REVOKED, lambda w: (_crl(w, 7), _crl(w, 8, COMPROMISE, base=7, after_ms=-3 * HOUR_MS // 2, hours=1))
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_openssl_and_we_think_of_complete_and_delta_lists_what_is_said_here(
    world: World, tmp_path: Path, what: str
) -> None:
    case = CASES[what]
    lists = case.lists(world)
    theirs = _openssls(world, tmp_path, lists, "-extended_crl", "-use_deltas")
    assert (_ours(world, lists), theirs) == (case.ours, case.theirs)


def test_where_openssl_differs_there_is_a_reason() -> None:
    differ = {what for what, case in CASES.items() if case.ours != case.theirs}
    assert {what for what, case in CASES.items() if case.why} == differ


def test_without_its_extended_rules_openssl_takes_a_delta_for_a_complete_list(world: World, tmp_path: Path) -> None:
    """So whoever gives it deltas must say `-extended_crl -use_deltas`: else what the complete list revokes is good."""
    lists = CASES["it stays in the complete list"].lists(world)
    assert _openssls(world, tmp_path, lists) == GOOD
    assert _ours(world, lists) == REVOKED
