"""A root that a station signed proves what it says, and nothing that was changed, borrowed or made up."""

import base64
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ledger.delivery import samples, station_root
from ledger.delivery.errors import StationRootForeign, StationRootMalformed, StationRootSignature
from ledger.delivery.samples import Sample
from ledger.delivery.station_root import Flattened, SignedRoot
from ledger.records import jws
from ledger.records.evidence import MAX_SIGNED_ROOT_CHARS, SampleSchema

START_MS = 1_768_928_400_000
KEY = ec.derive_private_key(7, ec.SECP256R1())
X5T = jws.encode_base64url(bytes(range(32)))
BODY = samples.encode(Sample(START_MS + 1_000 * at, 7_000, 50_000, 7_000, 0, at) for at in range(10))
ROOT = SignedRoot(
    request_id=3,
    station_id="CS-1",
    evse_id=1,
    schema=SampleSchema.NARROW,
    root=samples.root(BODY).hex(),
    n=10,
    from_ms=START_MS,
    to_ms=START_MS + 9_999,
    seq=1,
    signed_at_ms=START_MS + 10_000,
)
HEADER = {"OCPPAction": "DataTransfer", "OCPPMessageTypeId": 2, "x5t#S256": X5T}


def text(root: SignedRoot = ROOT) -> str:
    return station_root.text_of(station_root.sign(root, KEY, X5T))


def parts(root: SignedRoot = ROOT) -> dict[str, str]:
    found: dict[str, str] = json.loads(text(root))
    return found


def signed(header: dict[str, object], payload: bytes | None = None) -> str:
    """A JWS that the station's key signs over another header or payload."""
    said = jws.decode_base64url(parts()["payload"]) if payload is None else payload
    protected, body, signature = jws.sign(said, KEY, header).split(".")
    return station_root.text_of(Flattened(payload=body, protected=protected, signature=signature))


def test_what_the_station_signed_is_proven_with_its_key_and_no_other() -> None:
    found = station_root.open_root(text(), KEY.public_key(), X5T)
    assert (found.root, found.x5t) == (ROOT, X5T)
    station_root.require_of(found.root, BODY, station_id="CS-1", evse_id=1)
    other = ec.derive_private_key(8, ec.SECP256R1()).public_key()
    with pytest.raises(StationRootSignature):
        station_root.open_root(text(), other, X5T)
    with pytest.raises(StationRootForeign, match="another certificate"):
        station_root.open_root(text(), KEY.public_key(), X5T[::-1])


def test_the_same_words_are_known_again_under_another_signature() -> None:
    """Neither a fresh signature nor the second form that every ECDSA signature has makes them new words."""
    one, two = text(), text()
    assert one != two
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    raw = jws.decode_base64url(parts()["signature"])
    flipped = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    assert flipped != raw
    digests = {station_root.open_root(one, KEY.public_key(), X5T).payload_sha256, station_root.read(two).payload_sha256}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"jwk": {"kty": "EC"}},
        HEADER | {"x5c": ["MIIB"]},
        HEADER | {"x5u": "https://example.com/key"},
        HEADER | {"kid": "mine"},
        HEADER | {"crit": ["b64"], "b64": False},
        HEADER | {"OCPPAction": "MeterValues"},
        HEADER | {"OCPPMessageTypeId": 3},
        {"OCPPAction": "DataTransfer", "OCPPMessageTypeId": 2},
        {"x5t#S256": X5T},
    ],
)
def test_a_header_that_brings_a_key_or_names_another_message_is_refused(header: dict[str, object]) -> None:
    with pytest.raises(StationRootMalformed):
        station_root.open_root(signed(header), KEY.public_key(), X5T)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256", "EdDSA", ""])
def test_no_algorithm_but_es256_is_believed(alg: str) -> None:
    protected = jws.encode_base64url(json.dumps(HEADER | {"alg": alg}).encode())
    for signature in (parts()["signature"], jws.encode_base64url(b"\0" * 32)):
        forged = Flattened(payload=parts()["payload"], protected=protected, signature=signature)
        with pytest.raises(StationRootSignature):
            station_root.open_root(station_root.text_of(forged), KEY.public_key(), X5T)


def test_a_key_of_another_kind_signs_no_root() -> None:
    with pytest.raises(StationRootSignature):
        station_root.open_root(text(), ed25519.Ed25519PrivateKey.generate().public_key(), X5T)
    p384 = ec.derive_private_key(7, ec.SECP384R1()).public_key()
    with pytest.raises(StationRootSignature):
        station_root.open_root(text(), p384, X5T)


def test_a_changed_payload_or_signature_is_refused() -> None:
    other = parts(msgspec.structs.replace(ROOT, evse_id=2))
    for changed in (parts() | {"payload": other["payload"]}, parts() | {"signature": other["signature"]}):
        with pytest.raises(StationRootSignature):
            station_root.open_root(json.dumps(changed), KEY.public_key(), X5T)
    for size in (0, 32, 63, 65):
        short = parts() | {"signature": jws.encode_base64url(b"\1" * size) or "AA"}
        with pytest.raises(StationRootSignature):
            station_root.open_root(json.dumps(short), KEY.public_key(), X5T)


def test_every_truncation_is_refused() -> None:
    whole = text()
    for at in range(len(whole)):
        with pytest.raises(StationRootMalformed):
            station_root.read(whole[:at])


@pytest.mark.parametrize(
    "bad",
    [
        "[]",
        "null",
        "{}",
        "[" * 4_000,
        '{"a":' * 800,
        "\ud800",
        '{"payload":"AA","protected":"AA","signature":"AA"}',
        '{"payload":"*","protected":"AA","signature":"AA"}',
    ],
)
def test_what_is_no_signed_message_is_refused_and_crashes_nothing(bad: str) -> None:
    with pytest.raises(StationRootMalformed):
        station_root.read(bad)


def test_the_greatest_text_is_read_and_one_more_character_is_not() -> None:
    whole = text()
    padded = whole + " " * (MAX_SIGNED_ROOT_CHARS - len(whole))
    assert station_root.open_root(padded, KEY.public_key(), X5T).root == ROOT
    with pytest.raises(StationRootMalformed, match="too large"):
        station_root.read(padded + " ")


def test_an_unprotected_header_or_another_field_is_refused() -> None:
    for more in ({"header": {"jwk": {}}}, {"signatures": []}):
        with pytest.raises(StationRootMalformed):
            station_root.read(json.dumps(parts() | more))
    payload = json.loads(base64.urlsafe_b64decode(parts()["payload"] + "=="))
    for change in ({"vendorId": "com.example"}, {"messageId": "DataCollectorLog"}, {"more": 1}):
        with pytest.raises(StationRootMalformed):
            station_root.read(signed(HEADER, json.dumps(payload | change).encode()))


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"station_id": "CS-2"}, "station"),
        ({"evse_id": 2}, "EVSE"),
        ({"schema": SampleSchema.WIDE}, "format"),
        ({"n": 9}, "number"),
        ({"root": "0" * 64}, "root"),
        ({"from_ms": START_MS + 1}, "window"),
        ({"to_ms": START_MS + 8_999}, "window"),
        ({"signed_at_ms": START_MS + 8_999}, "before it was measured"),
    ],
)
def test_what_was_signed_for_something_else_proves_nothing_here(said: dict[str, object], what: str) -> None:
    with pytest.raises(StationRootForeign, match=what):
        station_root.require_of(msgspec.structs.replace(ROOT, **said), BODY, station_id="CS-1", evse_id=1)


def test_a_body_that_was_changed_or_cut_is_not_the_one_that_was_signed() -> None:
    for body in (BODY[:-24], BODY[24:], BODY[:11] + b"\x59" + BODY[12:]):
        with pytest.raises(StationRootForeign):
            station_root.require_of(ROOT, body, station_id="CS-1", evse_id=1)


def test_the_window_may_be_just_as_long_as_the_body_and_not_shorter() -> None:
    tight = msgspec.structs.replace(ROOT, to_ms=START_MS + 9_000, signed_at_ms=START_MS + 9_000)
    station_root.require_of(tight, BODY, station_id="CS-1", evse_id=1)
    with pytest.raises(StationRootForeign):
        station_root.require_of(
            msgspec.structs.replace(tight, to_ms=START_MS + 8_999), BODY, station_id="CS-1", evse_id=1
        )
