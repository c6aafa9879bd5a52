"""Statements: nothing negotiated, nothing malleable, nothing for another log."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ledger.errors import Refused
from ledger.records import canonical, disclosure, entry, jws, record, statement
from ledger.records.actor import Actor, Role
from ledger.records.disclosure import Disclosure
from ledger.records.errors import (
    DisclosureForeign,
    DisclosureMalformed,
    EntryMalformed,
    NotCanonical,
    PersonalInClear,
    RecordMalformed,
    RecordTypeUnknown,
    SignatureInvalid,
    StatementMalformed,
    StatementTooLarge,
)
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason

LOG = "log.example/test"
P256 = ec.derive_private_key(4711, ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.from_private_bytes(b"e" * 32)
NOW_MS = 1_768_900_000_123
OPT = OptDecided(
    opt_id="opt-1",
    fsr_id="fsr-1",
    participation="p-1",
    actor=OptActor.EVU,
    choice=Choice.OUT,
    reason=OptReason.MOBILITY_NEED,
    decided_at_ms=NOW_MS,
    evu_statement="own words",
)
X5T = jws.encode_base64url(b"t" * 32)


def _spki(key: Any) -> bytes:
    der: bytes = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def _actor(key: Any = P256, party: str = "northgate") -> Actor:
    return Actor(party=party, role=Role.CSO, key_spki=_spki(key), x5t=X5T, tbs_sha256="0" * 64)


def _signed(key: Any = P256, **changes: Any) -> statement.Signed:
    fields: dict[str, Any] = {
        "key": key,
        "x5t": X5T,
        "party": "northgate",
        "audience": LOG,
        "stream": "fsr/fsr-1",
        "now_ms": NOW_MS,
    }
    return statement.sign(OPT, **{**fields, **changes})


def _forged(header: dict[str, Any], claims: dict[str, Any] | None = None, key: Any = P256) -> str:
    """A compact JWS with any header and claims, signed all the same."""
    payload = jws.parse(_signed().raw).payload
    if claims is not None:
        payload = canonical.encode({**canonical.decode(payload), **claims})
    protected = jws.encode_base64url(canonical.encode(header))
    signing_input = f"{protected}.{jws.encode_base64url(payload)}"
    made = jws.sign(payload, key, {})
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(signing_input.encode())
    else:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import utils

        r, s = utils.decode_dss_signature(key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert made.count(".") == 2
    return f"{signing_input}.{jws.encode_base64url(signature)}"


GOOD = {"alg": "ES256", "typ": "flex+sd-jwt", "x5t#S256": X5T}


@pytest.mark.parametrize("key", [P256, ED], ids=["ES256", "EdDSA"])
def test_a_statement_is_opened_by_its_actor_s_key(key: Any) -> None:
    signed = _signed(key)
    opened = statement.open_statement(signed.raw, _actor(key), audience=LOG)
    assert opened.claims.iss == "northgate"
    assert opened.claims.iat == NOW_MS // 1000
    assert opened.record == statement.parse_statement(signed.raw).record
    assert isinstance(opened.record, OptDecided)
    assert opened.record.reason is msgspec.UNSET
    whole = record.reveal(opened.claims.event, signed.disclosures)
    assert msgspec.convert(whole, OptDecided).reason is OptReason.MOBILITY_NEED


def test_a_forger_s_tool_makes_good_statements_when_it_forges_nothing() -> None:
    assert statement.open_statement(_forged(GOOD), _actor(), audience=LOG)


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "ES384", "RS256", "EdDSA", ""])
def test_the_algorithm_is_the_key_s_whatever_the_header_asks_for(alg: str) -> None:
    with pytest.raises(SignatureInvalid):
        statement.open_statement(_forged({**GOOD, "alg": alg}), _actor())


def test_alg_none_with_an_empty_signature_is_refused() -> None:
    raw = _forged({**GOOD, "alg": "none"})
    with pytest.raises(SignatureInvalid):
        statement.open_statement(raw.rpartition(".")[0] + ".", _actor())


def test_an_empty_or_short_signature_is_refused() -> None:
    head = _signed().raw.rpartition(".")[0]
    for signature in (b"", b"0" * 63, b"0" * 64, b"0" * 65):
        with pytest.raises(SignatureInvalid):
            statement.open_statement(f"{head}.{jws.encode_base64url(signature)}", _actor())


@pytest.mark.parametrize(
    "header",
    [
        {**GOOD, "typ": "JWT"},
        {**GOOD, "typ": "at+jwt"},
        {**GOOD, "crit": ["exp"]},
        {**GOOD, "jwk": {}},
        {**GOOD, "x5t#S256": "short"},
        {"alg": "ES256", "typ": "flex+sd-jwt"},
    ],
)
def test_another_kind_of_header_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises((StatementMalformed, RecordMalformed)):
        statement.open_statement(_forged(header), _actor())


def test_another_key_is_refused() -> None:
    other = ec.derive_private_key(4712, ec.SECP256R1())
    for actor in (_actor(other), _actor(ED)):
        with pytest.raises(SignatureInvalid):
            statement.open_statement(_signed().raw, actor)


def test_keys_of_other_kinds_sign_and_open_nothing() -> None:
    p384 = ec.derive_private_key(4711, ec.SECP384R1())
    with pytest.raises(SignatureInvalid):
        _signed(p384)
    with pytest.raises(SignatureInvalid):
        statement.open_statement(_signed().raw, _actor(p384))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(SignatureInvalid):
        jws.load_key(_spki(other))
    with pytest.raises(SignatureInvalid):
        jws.load_key(b"no key")


def test_another_party_s_name_is_refused_though_the_signature_is_good() -> None:
    with pytest.raises(SignatureInvalid, match="another party"):
        statement.open_statement(_signed(party="southgate").raw, _actor())


def test_a_statement_for_another_log_is_refused() -> None:
    with pytest.raises(StatementMalformed, match="another log"):
        statement.open_statement(_signed(audience="log.example/other").raw, _actor(), audience=LOG)
    assert statement.open_statement(_signed(audience="log.example/other").raw, _actor())


def _unpadded(raw: str) -> str:
    """The same bytes in another base64url: the unused bits of the last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(raw[-1]) | 1] if alphabet.index(raw[-1]) % 2 == 0 else raw[-1]
    return raw[:-1] + last


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + "=",
        lambda raw: raw + "==",
        lambda raw: " " + raw,
        lambda raw: raw + "\n",
        lambda raw: raw.replace(".", ".\n", 1),
        lambda raw: raw + ".",
        lambda raw: raw.rpartition(".")[0],
        lambda raw: raw.replace(".", "", 1),
        lambda raw: "é" + raw,
        _unpadded,
    ],
    ids=["padded", "more padded", "space", "line", "line inside", "dot", "two parts", "joined", "not ASCII", "bits"],
)
def test_other_text_for_the_same_statement_is_refused(change: Callable[[str], str]) -> None:
    raw = _signed().raw
    assert change(raw) != raw
    with pytest.raises(Refused):
        statement.open_statement(change(raw), _actor())


def test_standard_base64_is_refused() -> None:
    with pytest.raises(StatementMalformed):
        jws.decode_base64url("+/+/")
    assert jws.decode_base64url("-_-_") == base64.b64decode("+/+/")


def test_every_flipped_character_is_noticed() -> None:
    raw = _signed().raw
    for place in range(0, len(raw), 7):
        other = raw[:place] + ("A" if raw[place] != "A" else "B") + raw[place + 1 :]
        with pytest.raises(Refused):
            statement.open_statement(other, _actor())


def test_size_ends_at_its_limit() -> None:
    payload = b'"' + b"x" * 41_000 + b'"'
    raw = jws.sign(payload, P256, {})
    fitting = jws.sign(payload[: -(len(raw) - jws.MAX_JWS_BYTES) * 3 // 4 - 3] + b'"', P256, {})
    assert len(fitting) <= jws.MAX_JWS_BYTES
    pad = jws.MAX_JWS_BYTES - len(fitting)
    assert jws.parse(fitting)
    with pytest.raises(StatementTooLarge):
        jws.parse(fitting + "A" * (pad + 1))
    with pytest.raises(StatementMalformed):
        jws.parse("A" * jws.MAX_JWS_BYTES)


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"type": "opt.unknown"}, RecordTypeUnknown),
        ({"v": 2}, RecordTypeUnknown),
        ({"stream": "site/DEPOT-7"}, StatementMalformed),
        ({"stream": "fsr/../x"}, RecordMalformed),
        ({"stream": "fsr/fsr-1\n"}, RecordMalformed),
        ({"_sd_alg": "md5"}, RecordMalformed),
        ({"jti": "short"}, RecordMalformed),
        ({"iat": -1}, RecordMalformed),
        ({"iat": "now"}, RecordMalformed),
        ({"actor_seq": 0}, RecordMalformed),
        ({"exp_prev": "00"}, RecordMalformed),
        ({"more": 1}, RecordMalformed),
        ({"event": {"opt_id": "opt-1"}}, RecordMalformed),
        ({"event": []}, RecordMalformed),
    ],
)
def test_claims_that_fit_no_schema_are_refused(claims: dict[str, Any], error: type[Refused]) -> None:
    with pytest.raises(error):
        statement.open_statement(_forged(GOOD, claims), _actor())


def test_personal_data_in_clear_is_refused_though_signed() -> None:
    event = canonical.decode(jws.parse(_signed().raw).payload)["event"]
    with pytest.raises(PersonalInClear):
        statement.open_statement(_forged(GOOD, {"event": {**event, "reason": "EMERGENCY"}}), _actor())


def test_a_header_or_a_payload_that_is_not_canonical_is_refused() -> None:
    signature = _signed().raw.rpartition(".")[2]
    for text in (b'{"typ":"flex+sd-jwt","alg":"ES256"}', b"[1,2.5]", b"nothing"):
        with pytest.raises(NotCanonical):
            jws.parse(f"{jws.encode_base64url(text)}.e30.{signature}")
    with pytest.raises(StatementMalformed):
        jws.parse(f"{jws.encode_base64url(b'[]')}.e30.{signature}")


# Disclosures


def test_a_record_without_personal_fields_has_no_digests_and_no_algorithm() -> None:
    bare = OptDecided(opt_id="opt-1", fsr_id="fsr-1", participation="p-1", actor=OptActor.CSO, choice=Choice.OUT)
    signed = statement.sign(bare, key=P256, x5t=X5T, party="northgate", audience=LOG, stream="fsr/fsr-1", now_ms=NOW_MS)
    assert signed.disclosures == ()
    assert b"_sd" not in jws.parse(signed.raw).payload


def test_salts_and_ids_are_fresh_and_the_number_of_digests_says_little() -> None:
    first, second = _signed(), _signed()
    assert first.jti != second.jti
    assert {one.digest for one in first.disclosures}.isdisjoint(one.digest for one in second.disclosures)
    digests = statement.parse_statement(first.raw).claims.event["_sd"]
    assert len(first.disclosures) == 3
    assert len(digests) == 4
    assert digests == sorted(digests)
    assert statement.new_jti(NOW_MS) < statement.new_jti(NOW_MS + 1)
    assert len(statement.new_salt()) == disclosure.SALT_BYTES


def test_a_foreign_or_repeated_disclosure_is_refused() -> None:
    signed, other = _signed(), _signed()
    event = statement.parse_statement(signed.raw).claims.event
    for disclosures in ((*signed.disclosures, other.disclosures[0]), (signed.disclosures[0],) * 2):
        with pytest.raises(DisclosureForeign):
            record.reveal(event, disclosures)
    some = record.reveal(event, signed.disclosures[:1])
    assert len(some["_sd"]) == 3


def test_a_disclosure_cannot_replace_a_public_member() -> None:
    forged = disclosure.make(b"s" * 32, "choice", "IN")
    with pytest.raises(DisclosureForeign):
        record.reveal({"choice": "OUT", "_sd": [forged.digest]}, [forged])
    with pytest.raises(DisclosureForeign):
        record.reveal({"a": {"_sd": [forged.digest]}, "b": {"_sd": [forged.digest]}}, [forged])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        jws.encode_base64url(b"{}"),
        jws.encode_base64url(b"[1]"),
        jws.encode_base64url(b'["salt","name"]'),
        jws.encode_base64url(b'["' + b"A" * 20 + b'","name",1]'),
        jws.encode_base64url(b'[1,"name",1]'),
        jws.encode_base64url(b'["' + b"A" * 44 + b'","_sd",1]'),
        jws.encode_base64url(b'["' + b"A" * 44 + b'","...",1]'),
        jws.encode_base64url(b'["' + b"A" * 44 + b'",1,1]'),
        jws.encode_base64url(b'["' + b"A" * 44 + b'", "name",1]'),
        "A" * (disclosure.MAX_DISCLOSURE_BYTES + 1),
    ],
)
def test_what_is_not_a_disclosure_is_refused(text: str) -> None:
    with pytest.raises(DisclosureMalformed):
        disclosure.parse(text)


def test_a_disclosure_is_kept_as_it_came() -> None:
    made = disclosure.make(b"s" * 32, "reason", "EMERGENCY")
    assert disclosure.parse(made.text) == made
    assert isinstance(made, Disclosure)


# Entries


def _entry(stmt: str = "x") -> entry.Entry:
    return entry.Entry(
        log=LOG,
        pol=0,
        prev=entry.NO_PREVIOUS,
        rec=NOW_MS,
        seq=1,
        stmt=stmt,
        stream="fsr/fsr-1",
        sub=entry.Submitter(cert="0" * 64, party="northgate", role="CSO"),
        type="opt.decided",
        v=1,
    )


def test_an_entry_is_read_back_and_ends_at_its_limit() -> None:
    made = _entry()
    assert entry.decode(entry.encode(made)) == made
    room = entry.MAX_ENTRY_BYTES - len(entry.encode(_entry("")))
    assert len(entry.encode(_entry("x" * room))) == entry.MAX_ENTRY_BYTES
    with pytest.raises(EntryMalformed):
        entry.encode(_entry("x" * (room + 1)))
    with pytest.raises(EntryMalformed):
        entry.decode(b" " * (entry.MAX_ENTRY_BYTES + 1))


@pytest.mark.parametrize("change", [{"more": 1}, {"seq": 0}, {"prev": "00"}, {"stream": "fsr"}, {"rec": "now"}])
def test_an_entry_that_fits_no_schema_is_refused(change: dict[str, Any]) -> None:
    value = canonical.decode(entry.encode(_entry()))
    with pytest.raises(EntryMalformed):
        entry.decode(canonical.encode({**value, **change}))
    with pytest.raises(EntryMalformed):
        entry.decode(entry.encode(_entry()) + b"\n")
