"""PyPI sd-jwt (the reference implementation's library) verifies our statements with all, some and no disclosures."""

from itertools import combinations
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwcrypto.jwk import JWK
from jwcrypto.jws import InvalidJWSSignature
from sd_jwt.verifier import SDJWTVerifier

from ledger.records import jws, record, statement
from ledger.records.opt import Choice, OptActor
from ledger.records.record import Record
from tests.support.rulebook import at, check, decided, pids, subject

P256 = ec.derive_private_key(4711, ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32)


def _signed(what: Record, key: Any) -> statement.Signed:
    return statement.sign(
        what,
        key=key,
        x5t=jws.encode_base64url(b"t" * 32),
        party="northgate",
        audience="log.example/test",
        stream="fsr/fsr-1",
        now_ms=at("15:00"),
    )


def _verified(signed: statement.Signed, key: Any, disclosures: Any) -> dict[str, Any]:
    """What a stranger reads in a presentation with these disclosures."""
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    presented = "~".join([signed.raw, *(one.text for one in disclosures), ""])
    payload: dict[str, Any] = SDJWTVerifier(presented, lambda _iss, _header: JWK.from_pem(pem)).get_verified_payload()
    return payload


@pytest.mark.parametrize("key", [P256, ED], ids=["ES256", "EdDSA"])
def test_all_some_and_no_disclosures_verify_and_say_what_we_say(key: Any) -> None:
    signed = _signed(decided("p-1", Choice.OUT, OptActor.EVU), key)
    claims = statement.parse_statement(signed.raw).claims
    for count in range(len(signed.disclosures) + 1):
        for chosen in combinations(signed.disclosures, count):
            found = _verified(signed, key, chosen)
            ours = record.reveal(claims.event, chosen)
            assert found["event"] == {name: value for name, value in ours.items() if name != "_sd"}
            assert found["iss"] == "northgate"


def test_disclosures_inside_parts_verify_too() -> None:
    subjects = tuple(
        subject(name, evse_id=f"FI*NGC*E{number}", evu=f"driver-{number}") for number, name in enumerate(pids(2), 1)
    )
    signed = _signed(check(now_ms=at("15:00"), subjects=subjects), P256)
    found = _verified(signed, P256, signed.disclosures)
    assert [one["evu"] for one in found["event"]["subjects"]] == ["driver-1", "driver-2"]
    bare = _verified(signed, P256, ())
    assert all("evu" not in one and "evse_id" not in one for one in bare["event"]["subjects"])


def test_a_stranger_refuses_another_key_and_a_changed_word() -> None:
    signed = _signed(decided("p-1", Choice.OUT, OptActor.EVU), P256)
    with pytest.raises(InvalidJWSSignature):
        _verified(signed, ec.derive_private_key(4712, ec.SECP256R1()), signed.disclosures)
    other = _signed(decided("p-1", Choice.IN, OptActor.EVU), P256)
    mixed = statement.Signed(
        raw=f"{other.raw.rpartition('.')[0]}.{signed.raw.rpartition('.')[2]}",
        jti=other.jti,
        stream=other.stream,
        disclosures=other.disclosures,
    )
    with pytest.raises(InvalidJWSSignature):
        _verified(mixed, P256, ())
