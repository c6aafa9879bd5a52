"""Everything wrong that can be sent: the right problem comes back, nothing is written, nothing of it is repeated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api import wire
from api.cli.demo import cast, props, story
from ledger.records import jws, statement
from ledger.records.sites import SessionMirrored
from pki.ceremony import Ceremony
from pki.roles import Purpose
from tests.support.house import CANARY, MINUTE_MS, House
from tests.support.house_acts import FSR, at, cancelled, claims, packed, request

# What is not even JSON of the right shape


def nested(depth: int) -> bytes:
    return b'{"statement":' + b"[" * depth + b"]" * depth + b"}"


BODIES: dict[str, bytes] = {
    "empty": b"",
    "no JSON": f"{CANARY}".encode(),
    "broken off": b'{"statement":"' + CANARY.encode(),
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e400",
    "not UTF-8": b'{"statement":"\xff\xfe"}',
    "a raw NUL": b'{"statement":"a\x00b"}',
    "half a surrogate pair": b'{"statement":"\\ud800"}',
    "not a number": b'{"statement":NaN}',
    "a huge integer": b'{"statement":1' + b"0" * 5_000 + b"}",
    "a float": b'{"statement":1.5}',
    "a thousand deep": nested(1_000),
    "a hundred thousand deep": nested(100_000),
    "a thousand deep in an unknown member": b'{"x":' + nested(1_000) + b"}",
    "an unknown member": json.dumps({"statement": "a.b.c", CANARY: CANARY}).encode(),
    "a member twice": b'{"statement":"a.b.c","statement":"' + CANARY.encode() + b'"}',
    "an inner member twice": b'{"statement":"a.b.c","disclosures":[{"text":"a","text":"b"}]}',
    "base64 that is none": json.dumps({"statement": "a.b.c", "attachments": [{"data": f"{CANARY}!"}]}).encode(),
    "too many certificates": json.dumps({"statement": "a.b.c", "certificates": ["AA=="] * 5}).encode(),
    "too many disclosures": json.dumps({"statement": "a.b.c", "disclosures": [{"text": "a"}] * 257}).encode(),
    "too many attachments": json.dumps({"statement": "a.b.c", "attachments": [{"data": "AA=="}] * 65}).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_does_not_fit_is_refused(door: House, body: bytes) -> None:
    await door.attack(cast.FO, "/v1/requests", body, status=400, code="api/body-malformed")


async def test_a_body_that_is_too_large_is_refused_whatever_its_length_says(tmp_path: Path, made: Ceremony) -> None:
    async with House.open(tmp_path, made, max_body_bytes=4_096) as house:
        body = b'{"statement":"' + b"a" * 5_000 + b'"}'
        await house.attack(cast.FO, "/v1/requests", body, status=413, code="api/body-too-large")
        told = [("content-length", "9999999")]
        await house.attack(cast.FO, "/v1/requests", b"{}", status=413, code="api/body-too-large", headers=told)
        odd = [("content-length", CANARY)]
        await house.attack(cast.FO, "/v1/requests", b"{}", status=400, code="api/request-malformed", headers=odd)


PATHS: dict[str, tuple[str, int, str]] = {
    "/nowhere/canary5eed": ("GET", 404, "api/route-unknown"),
    "/v1/entries/-1": ("GET", 400, "api/request-malformed"),
    "/v1/entries/1.5": ("GET", 404, "api/route-unknown"),
    "/v1/entries/9007199254740991": ("GET", 404, "ledger/entry-absent"),
    "/v1/entries/9223372036854775808": ("GET", 400, "api/request-malformed"),
    "/v1/entries/99999999999999999999999/receipt": ("GET", 400, "api/request-malformed"),
    "/v1/timestamps?after=-1": ("GET", 400, "api/request-malformed"),
    "/v1/timestamps?limit=101": ("GET", 400, "api/request-malformed"),
    "/v1/timestamps?after=canary5eed": ("GET", 400, "api/request-malformed"),
    "/v1/proofs/consistency?old=1": ("GET", 400, "api/request-malformed"),
    "/v1/proofs/consistency?old=canary5eed&new=2": ("GET", 400, "api/request-malformed"),
    "/v1/proofs/consistency?old=5&new=3": ("GET", 400, "ledger/size-out-of-range"),
    "/v1/proofs/consistency?old=0&new=9007199254740991": ("GET", 400, "ledger/size-out-of-range"),
    "/v1/proofs/consistency?old=0&new=99999999999999999999999": ("GET", 400, "api/request-malformed"),
    "/tile/../../etc/passwd": ("GET", 400, "ledger/tile-malformed"),
    "/tile/0/../../../vault/vault.db": ("GET", 400, "ledger/tile-malformed"),
    "/tile//etc/canary5eed": ("GET", 400, "ledger/tile-malformed"),
    "/tile/0/000.p/99999999999999999999": ("GET", 400, "ledger/tile-malformed"),
    "/tile/99/000": ("GET", 400, "ledger/tile-malformed"),
    "/tile/0/x999/x999/x999/x999/x999/999": ("GET", 400, "ledger/tile-malformed"),
    "/tile/0/x00\uff11/000": ("GET", 400, "ledger/tile-malformed"),
    "/tile/0/001": ("GET", 400, "ledger/size-out-of-range"),
    "/v1/requests/..": ("GET", 404, "api/not-concerned"),
    "/v1/requests/canary5eed\x00": ("GET", 400, "api/request-malformed"),
    "/v1/requests/canary5eed\u202e": ("GET", 404, "api/not-concerned"),
    "/checkpoint": ("DELETE", 405, "api/method-not-allowed"),
    "/v1/requests": ("BREW", 405, "api/method-not-allowed"),
    "/v1/tokens": ("HEAD", 405, "api/method-not-allowed"),
}


@pytest.mark.parametrize("path", PATHS, ids=[ascii(path) for path in PATHS])
async def test_a_path_that_leads_nowhere_is_refused(door: House, path: str) -> None:
    method, status, code = PATHS[path]
    if method == "HEAD":
        with door.leaves():
            assert (await door.ask(cast.AUD, method, path)).status == status
        return
    await door.attack(cast.AUD, path, b"", status=status, code=code, method=method)


async def test_head_and_options_tell_of_a_resource_and_write_nothing(door: House) -> None:
    with door.leaves():
        head = await door.ask(cast.AUD, "HEAD", "/v1/requests")
        options = await door.ask(None, "OPTIONS", "/v1/requests")
    assert (head.status, head.body) == (200, b"")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_unknown_query_parameters_change_nothing(house: House) -> None:
    with house.leaves():
        plain = await house.ask(cast.AUD, "GET", "/v1/entries/1")
        asked = await house.ask(cast.AUD, "GET", f"/v1/entries/1?{CANARY}={CANARY}&index=2")
    assert (asked.status, asked.body) == (200, plain.body)
    house.require_silent()


# Statements that are none


PAYLOADS: dict[str, tuple[Callable[[dict[str, Any]], bytes], str]] = {
    "spaces": (lambda good: json.dumps(good, sort_keys=True).encode(), "ledger/not-canonical"),
    "unsorted": (lambda good: msgspec.json.encode(dict(reversed(good.items()))), "ledger/not-canonical"),
    "a member twice": (lambda good: packed(good)[:-1] + b',"v":1}', "ledger/not-canonical"),
    "a float": (lambda good: packed({**good, "v": 1.0}), "ledger/not-canonical"),
    "an exponent": (lambda good: packed(good).replace(b'"v":1', b'"v":1e0'), "ledger/not-canonical"),
    "an integer beyond 2^53": (lambda good: packed({**good, "iat": 2**53}), "ledger/not-canonical"),
    "an integer beyond 2^64": (
        lambda good: packed(good).replace(b'"v":1', b'"v":1' + b"0" * 400),
        "ledger/not-canonical",
    ),
    "a thousand deep": (
        lambda good: packed(good).replace(b'"NO_LONGER_NEEDED"', b"[" * 1_000 + b"]" * 1_000),
        "ledger/not-canonical",
    ),
    "a raw NUL": (lambda good: packed(good).replace(b"NO_LONGER", b"NO\x00LONGER"), "ledger/not-canonical"),
    "an escaped NUL": (
        lambda good: packed({**good, "event": {"fsr_id": "fsr\0", "reason": "SAFETY"}}),
        "ledger/record-malformed",
    ),
    "bidirectional characters": (
        lambda good: packed({**good, "event": {"fsr_id": f"fsr\u202e{CANARY}", "reason": "SAFETY"}}),
        "ledger/record-malformed",
    ),
    "not an object": (lambda _: b"[]", "ledger/record-malformed"),
    "an unknown claim": (lambda good: packed({**good, CANARY: CANARY}), "ledger/record-malformed"),
    "an unknown field": (
        lambda good: packed({**good, "event": {**good["event"], CANARY: 1}}),
        "ledger/record-malformed",
    ),
    "a value of no list": (
        lambda good: packed({**good, "event": {**good["event"], "reason": CANARY}}),
        "ledger/record-malformed",
    ),
    "an unknown type": (lambda good: packed({**good, "type": f"fsr.{CANARY[:6]}"}), "ledger/record-type-unknown"),
    "an unknown version": (lambda good: packed({**good, "v": 2}), "ledger/record-type-unknown"),
    "another stream": (lambda good: packed({**good, "stream": "site/DEPOT-7"}), "ledger/statement-malformed"),
    "another log": (lambda good: packed({**good, "aud": "ledger.example/elsewhere"}), "ledger/statement-malformed"),
}


@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_payload_that_is_not_what_it_must_be_is_refused(door: House, name: str) -> None:
    spoil, code = PAYLOADS[name]
    submitted = door.forged(cast.FO, spoil(claims(door, cast.FO)))
    await door.attack(cast.FO, at("cancellation"), submitted, status=400, code=code)


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "alg none": ({"alg": "none"}, "ledger/signature-invalid"),
    "alg HS256": ({"alg": "HS256"}, "ledger/signature-invalid"),
    "alg of the other curve": ({"alg": "EdDSA"}, "ledger/signature-invalid"),
    "another kind": ({"typ": "JWT"}, "ledger/statement-malformed"),
    "a key of its own": ({"jwk": {"kty": "oct", "k": "AA"}}, "ledger/record-malformed"),
    "a critical extension": ({"crit": ["exp"]}, "ledger/record-malformed"),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_header_that_would_change_how_we_verify_is_refused(door: House, name: str) -> None:
    change, code = HEADERS[name]
    good = door.said(cast.FO, cancelled(), f"fsr/{FSR}").statement.split(".")
    header = {**msgspec.json.decode(jws.decode_base64url(good[0])), **change}
    raw = ".".join((jws.encode_base64url(packed(header)), good[1], "" if change.get("alg") == "none" else good[2]))
    submitted = wire.Submission(statement=raw, certificates=(door.issued(cast.FO, Purpose.SIGNING).chain[0],))
    await door.attack(cast.FO, at("cancellation"), submitted, status=400, code=code)


async def test_one_changed_bit_of_a_signature_is_refused(door: House) -> None:
    good = door.said(cast.FO, cancelled(), f"fsr/{FSR}")
    head, payload, signature = good.statement.split(".")
    spoilt = bytearray(jws.decode_base64url(signature))
    spoilt[7] ^= 1
    bad = msgspec.structs.replace(good, statement=f"{head}.{payload}.{jws.encode_base64url(bytes(spoilt))}")
    await door.attack(cast.FO, at("cancellation"), bad, status=400, code="ledger/signature-invalid")


@pytest.mark.parametrize("off_ms", [-6 * MINUTE_MS, 6 * MINUTE_MS])
async def test_a_statement_of_another_time_is_refused(door: House, off_ms: int) -> None:
    signed = door.sign(cast.FO, request(), f"fsr/{FSR}", now_ms=door.clock.now_ms() + off_ms)
    submitted = door.submission(cast.FO, signed)
    await door.attack(cast.FO, "/v1/requests", submitted, status=400, code="api/statement-stale")


async def test_a_personal_field_in_clear_is_refused(door: House) -> None:
    event = {"session_id": "session-1", "site_id": cast.SITE, "evu": CANARY}
    said = claims(door, cast.CSO, event=event, stream=f"site/{cast.SITE}", type=SessionMirrored.TYPE)
    submitted = door.forged(cast.CSO, packed(said))
    path = f"/v1/sites/{cast.SITE}/sessions"
    await door.attack(cast.CSO, path, submitted, status=400, code="ledger/personal-in-clear")


# Who says it, and over whose connection


async def test_a_statement_of_one_party_over_anothers_connection_is_refused(door: House) -> None:
    submitted = door.said(cast.FO, request(), f"fsr/{FSR}")
    for who in (cast.RIVAL,):
        await door.attack(who, "/v1/requests", submitted, status=403, code="api/party-mismatch")
    for who in (cast.CSO, cast.CSP, cast.AUD, cast.DPO, cast.BAYS[0].person):
        await door.attack(who, "/v1/requests", submitted, status=403, code="api/role-not-allowed")
    await door.attack(None, "/v1/requests", submitted, status=401, code="api/credential-missing")


async def test_a_party_that_signs_in_anothers_name_is_refused(door: House) -> None:
    signer = door.signer(cast.RIVAL, party=cast.FO)
    signed = signer.sign(request(), f"fsr/{FSR}", now_ms=door.clock.now_ms())
    submitted = door.submission(cast.RIVAL, signed)
    await door.attack(cast.RIVAL, "/v1/requests", submitted, status=400, code="ledger/signature-invalid")
    await door.attack(cast.FO, "/v1/requests", submitted, status=403, code="api/party-mismatch")


async def test_the_thumbprint_of_another_partys_certificate_does_not_help(house: House) -> None:
    await story.look_for_holders(house.play())  # now the operator's certificate is known
    theirs = props.thumbprint(house.issued(cast.FO, Purpose.SIGNING).chain[0])
    submitted = house.forged(cast.CSO, packed(claims(house, cast.FO)), {"typ": statement.TYP, "x5t#S256": theirs})
    await house.attack(cast.FO, at("cancellation"), submitted, status=400, code="ledger/signature-invalid")


ROLES: dict[str, tuple[str, ...]] = {
    "/v1/sites": (cast.FO, cast.CSP, cast.AUD, cast.DPO),
    f"/v1/sites/{cast.SITE}/sessions": (cast.FO, cast.AUD, cast.DPO),
    f"/v1/sites/{cast.SITE}/claims": (cast.FO, cast.CSP, cast.AUD),
    "/v1/contracts": (cast.AUD, cast.DPO, cast.BAYS[0].person),
    "/v1/contracts/discovery": (cast.CSO, cast.CSP, cast.AUD, cast.BAYS[0].person),
    "/v1/requests": (cast.CSO, cast.CSP, cast.AUD),
    at("response"): (cast.FO, cast.AUD, cast.BAYS[0].person),
    at("baseline"): (cast.FO, cast.AUD),
    at("counter"): (cast.CSO, cast.CSP),
    at("settlement"): (cast.CSO, cast.CSP, cast.AUD),
    at("proof"): (cast.FO, cast.CSP, cast.AUD),
    at("decisions"): (cast.AUD, cast.DPO),
    "/v1/checks": (cast.FO, cast.AUD, cast.DPO),
    "/v1/subjects/erasure": (cast.FO, cast.CSO, cast.CSP, cast.AUD, cast.BAYS[0].person),
    "/v1/exports": (cast.FO, cast.CSO, cast.CSP, cast.AUD, cast.BAYS[0].person),
}


@pytest.mark.parametrize("path", ROLES)
async def test_a_resource_is_closed_to_other_roles(door: House, path: str) -> None:
    for who in ROLES[path]:
        await door.attack(who, path, {}, status=403, code="api/role-not-allowed")
    await door.attack(None, path, {}, status=401, code="api/credential-missing")


@pytest.mark.parametrize("path", ["/v1/requests", at("record"), "/v1/participations"])
async def test_reading_is_closed_to_nobody_in_particular(door: House, path: str) -> None:
    await door.attack(None, path, b"", status=401, code="api/credential-missing", method="GET")
