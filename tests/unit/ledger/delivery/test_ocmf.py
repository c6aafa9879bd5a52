import base64
import json
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.delivery import meter, ocmf, readings
from ledger.delivery.errors import (
    OcmfKeyMalformed,
    OcmfKeyMismatch,
    OcmfMalformed,
    OcmfSignature,
    OcmfUnsupported,
)
from ledger.delivery.meter import MeterReading
from ledger.delivery.ocmf import MAX_TEXT_BYTES, Quirk
from ledger.delivery.readings import MAX_READINGS, Pagination

START = 1_768_921_200_000
# Fixed scalars, so that the texts are the same in every run.
METER = ec.derive_private_key(63_382, ec.SECP256R1())
OTHER = ec.derive_private_key(63_383, ec.SECP256R1())


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def payload(**changes: Any) -> str:
    given: dict[str, Any] = {
        "meter_serial": "FLX0001",
        "pagination": Pagination("T", 41),
        "readings": [MeterReading(at_ms=START, energy_milliwh=260_049, transaction="B", utc_offset_min=120)],
    }
    return meter.build_payload(**(given | changes))


def text(**changes: Any) -> str:
    return ocmf.sign_ocmf(payload(**changes), METER)


def raw_payload(**changes: Any) -> str:
    fields: dict[str, Any] = {"FV": "1.0", "PG": "T1", "RD": [{"RV": 1, "RU": "kWh"}]}
    return json.dumps(fields | changes)


def unsigned(body: str, section: str = '{"SD":"00"}') -> str:
    return f"OCMF|{body}|{section}"


def test_what_the_meter_writes_is_what_the_verifier_reads() -> None:
    opened = ocmf.open_ocmf(text(evse_id="DE*FLX*E1"), der(METER))
    record = opened.record
    assert (record.meter_serial, record.pagination) == ("FLX0001", Pagination("T", 41))
    reading = record.readings[0]
    assert (reading.value, reading.energy_milliwh, reading.resolution_milliwh) == ("0.2600", 260_000, 100)
    assert (reading.time, reading.at_ms) == ("2026-01-20T17:00:00,000+0200 S", START)
    assert (opened.curve, record.quirks) == ("secp256r1", frozenset())


def test_the_same_meter_reading_is_the_same_text() -> None:
    assert text() == text()


def test_the_payload_is_kept_as_it_stands() -> None:
    spaced = '{"FV" : "1.0", "RD": [ {"RV": 0.2600, "RU": "kWh"} ] }'
    opened = ocmf.open_ocmf(ocmf.sign_ocmf(spaced, METER), der(METER))
    assert opened.record.payload == spaced.encode()
    assert opened.record.readings[0].value == "0.2600"


@pytest.mark.parametrize(
    "changed",
    [("0.2600", "0.2601"), ("0.2600", "0.26000"), ('"FLX0001","GV"', '"FLX0002","GV"'), ('"PG":"T41"', '"PG":"T42"')],
)
def test_a_changed_digit_is_refused(changed: tuple[str, str]) -> None:
    forged = text().replace(*changed)
    assert forged != text()
    with pytest.raises(OcmfSignature) as caught:
        ocmf.open_ocmf(forged, der(METER))
    assert caught.value.code == "ledger/ocmf-signature"


def test_the_signature_of_another_meter_is_refused() -> None:
    with pytest.raises(OcmfSignature):
        ocmf.open_ocmf(text(), der(OTHER))


def test_a_key_on_another_curve_is_a_mismatch_and_not_a_bad_signature() -> None:
    with pytest.raises(OcmfKeyMismatch) as caught:
        ocmf.open_ocmf(text(), der(ec.derive_private_key(7, ec.SECP384R1())))
    assert (caught.value.code, caught.value.expected) == ("ledger/ocmf-key-mismatch", "secp256r1")


def test_a_key_of_another_kind_is_a_mismatch() -> None:
    key = rsa.generate_private_key(65_537, 2_048).public_key()
    with pytest.raises(OcmfKeyMismatch):
        ocmf.open_ocmf(text(), key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("key", [b"", b"\x30\x59", b"\0" * 513])
def test_a_key_that_cannot_be_read_is_refused(key: bytes) -> None:
    with pytest.raises(OcmfKeyMalformed) as caught:
        ocmf.open_ocmf(text(), key)
    assert caught.value.code == "ledger/ocmf-key-malformed"


@pytest.mark.parametrize(
    "curve",
    [
        ec.SECP192R1(),
        ec.SECP256K1(),
        ec.SECP384R1(),
        ec.SECP521R1(),
        ec.BrainpoolP256R1(),
        ec.BrainpoolP384R1(),
    ],
    ids=lambda curve: curve.name,
)
def test_every_curve_that_the_library_has_round_trips(curve: ec.EllipticCurve) -> None:
    try:
        key = ec.derive_private_key(12_345, curve)
        signed = ocmf.sign_ocmf(payload(), key)
    except (UnsupportedAlgorithm, OcmfUnsupported) as error:
        pytest.skip(f"{curve.name} is not available in this build: {error}")
    assert ocmf.open_ocmf(signed, der(key)).curve == curve.name


def test_a_curve_without_a_name_in_the_format_is_unsupported() -> None:
    with pytest.raises(OcmfUnsupported):
        ocmf.sign_ocmf(payload(), ec.derive_private_key(5, ec.SECP224R1()))


@pytest.mark.parametrize("algorithm", ["ECDSA-secp192k1-SHA256", "RSA-SHA256", "ecdsa-secp256r1-sha256"])
def test_an_algorithm_that_is_not_available_is_unsupported_and_not_failed(algorithm: str) -> None:
    with pytest.raises(OcmfUnsupported) as caught:
        ocmf.open_ocmf(text().replace("ECDSA-secp256r1-SHA256", algorithm), der(METER))
    assert caught.value.code == "ledger/ocmf-unsupported"


def test_a_key_on_a_curve_that_the_library_lacks_is_unsupported() -> None:
    # SubjectPublicKeyInfo of secp192k1 (1.3.132.0.31).
    spki = bytes.fromhex("3046301006072a8648ce3d020106052b8104001f03320004" + "11" * 48)
    with pytest.raises(OcmfUnsupported):
        ocmf.open_ocmf(text(), spki)


def test_the_default_algorithm_is_p_256() -> None:
    signed = text().replace('"SA":"ECDSA-secp256r1-SHA256",', "")
    assert ocmf.open_ocmf(signed, der(METER)).record.algorithm == "ECDSA-secp256r1-SHA256"


def test_base64_signatures_are_read() -> None:
    record = ocmf.parse_ocmf(text())
    section = f'{{"SD":"{base64.b64encode(record.signature).decode()}","SE":"base64"}}'
    assert ocmf.open_ocmf(unsigned(payload(), section), der(METER)).record.signature == record.signature


def test_two_bare_integers_are_a_quirk_that_must_be_accepted_by_name() -> None:
    r, s = utils.decode_dss_signature(ocmf.parse_ocmf(text()).signature)
    bare = unsigned(payload(), f'{{"SD":"{r:064x}{s:064x}"}}')
    with pytest.raises(OcmfMalformed, match="DER"):
        ocmf.open_ocmf(bare, der(METER))
    opened = ocmf.open_ocmf(bare, der(METER), accept=frozenset({Quirk.RAW_SIGNATURE}))
    assert opened.record.quirks == {Quirk.RAW_SIGNATURE}
    wrong = unsigned(payload(), f'{{"SD":"{s:064x}{r:064x}"}}')
    with pytest.raises(OcmfSignature):
        ocmf.open_ocmf(wrong, der(METER), accept=frozenset({Quirk.RAW_SIGNATURE}))


@pytest.mark.parametrize("prefix", [b"", b"\x04"])
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.BrainpoolP256R1()])
def test_two_bare_coordinates_are_a_quirk_that_must_be_accepted_by_name(curve: ec.EllipticCurve, prefix: bytes) -> None:
    key = ec.generate_private_key(curve)
    signed = ocmf.sign_ocmf(payload(), key)
    whole = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    bare = prefix + whole[1:]
    with pytest.raises(OcmfKeyMalformed):
        ocmf.open_ocmf(signed, bare)
    opened = ocmf.open_ocmf(signed, bare, accept=frozenset({Quirk.RAW_KEY}))
    assert opened.record.quirks == {Quirk.RAW_KEY}
    # What is bound is the key, however it is written.
    assert opened.key_sha256 == ocmf.open_ocmf(signed, der(key)).key_sha256


def test_coordinates_that_are_no_point_and_those_of_another_curve_are_errors() -> None:
    signed = ocmf.sign_ocmf(payload(), METER)
    accept = frozenset({Quirk.RAW_KEY})
    with pytest.raises(OcmfKeyMalformed):
        ocmf.open_ocmf(signed, b"\x01" * 64, accept=accept)
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises((OcmfKeyMalformed, OcmfKeyMismatch)):
        ocmf.open_ocmf(signed, other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), accept=accept)
    k1 = ec.generate_private_key(ec.SECP256K1()).public_key()
    with pytest.raises((OcmfKeyMalformed, OcmfSignature)):
        ocmf.open_ocmf(signed, k1.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), accept=accept)


def test_a_short_der_signature_is_not_taken_for_two_bare_integers() -> None:
    # 64 octets, like two bare integers of P-256, and DER all the same.
    short = utils.encode_dss_signature(1 << 230, 1 << 229)
    assert len(short) == 64
    with pytest.raises(OcmfSignature):
        ocmf.open_ocmf(unsigned(payload(), f'{{"SD":"{short.hex()}"}}'), der(METER))


def test_a_key_that_travels_with_the_value_is_not_looked_at() -> None:
    forged = ocmf.sign_ocmf(payload(), OTHER)
    section = forged.rsplit("|", 1)[1]
    with_key = unsigned(payload(), section[:-1] + f',"PK":"{der(OTHER).hex()}"}}')
    with pytest.raises(OcmfSignature):
        ocmf.open_ocmf(with_key, der(METER))
    with pytest.raises(OcmfMalformed):
        ocmf.open_ocmf(f"{forged}|{der(OTHER).hex()}", der(OTHER))


def test_readings_inherit_what_they_leave_out() -> None:
    record = ocmf.parse_ocmf(
        unsigned(
            raw_payload(
                RD=[
                    {
                        "TM": "2026-01-20T17:00:00,000+0200 U",
                        "TX": "B",
                        "RV": 1,
                        "RI": "1-b:1.8.0",
                        "RU": "kWh",
                        "ST": "G",
                    },
                    {"TX": "E", "RV": 2.5},
                ]
            )
        )
    )
    first, last = record.readings
    assert (last.unit, last.obis, last.time_state, last.meter_state) == ("kWh", "1-b:1.8.0", "U", "G")
    assert (first.transaction, last.transaction, last.energy_milliwh) == ("B", "E", 2_500_000)


@pytest.mark.parametrize(
    ("digits", "unit", "energy", "step"),
    [
        ("0.2596", "kWh", 259_600, 100),
        ("0.2600", "kWh", 260_000, 100),
        ("2851485", "Wh", 2_851_485_000, 1_000),
        ("3.51824", "kWh", 3_518_240, 10),
        ("-1.5", "kWh", -1_500_000, 100_000),
        ("00000000.000", "kWh", 0, 1_000),
        ("1e3", "Wh", 1_000_000, 1_000_000),
        ("1.5E-2", "kWh", 15_000, 1_000),
        ("0.0000010", "kWh", 1, 1),
        ("0.0000005", "kWh", None, None),
        ("12", "sec", None, None),
        ("1", "mWh", None, None),
        ("x", "kWh", None, None),
    ],
)
def test_energy_is_exact_or_absent(digits: str, unit: str, energy: int | None, step: int | None) -> None:
    assert readings.energy_of(digits, unit) == (energy, step)


def test_a_value_in_a_string_is_a_quirk_and_padding_is_no_digit() -> None:
    record = ocmf.parse_ocmf(unsigned(raw_payload(RD=[{"RV": "      48.542", "RU": "kWh"}])))
    assert record.quirks == {Quirk.VALUE_AS_STRING}
    assert record.readings[0].energy_milliwh == 48_542_000


def test_a_version_written_as_a_number_is_read() -> None:
    assert ocmf.parse_ocmf(unsigned('{"FV": 1.0, "RD": [{"RV": 1}]}')).format_version == "1.0"


@pytest.mark.parametrize(
    ("time", "at_ms"),
    [
        ("1970-01-01T00:00:00,000+0000 U", 0),
        ("2026-01-20T17:00:00,123+0200 S", START + 123),
        ("2026-01-20T11:30:00,000-0330 S", START),
        ("2026-02-30T17:00:00,000+0200 S", None),
        ("2026-01-20T17:00:00,000+9900 S", None),
        ("2026-01-20T17:00:00+0200 S", None),
        ("yesterday", None),
    ],
)
def test_times_are_unix_milliseconds_or_absent(time: str, at_ms: int | None) -> None:
    assert ocmf.parse_ocmf(unsigned(raw_payload(RD=[{"TM": time}]))).readings[0].at_ms == at_ms


@pytest.mark.parametrize(
    ("written", "expected"),
    [("T12", Pagination("T", 12)), ("F0", Pagination("F", 0)), ("X1", None), ("T", None), ("T9999999999999999", None)],
)
def test_pagination_is_read_or_absent(written: str, expected: Pagination | None) -> None:
    assert ocmf.parse_ocmf(unsigned(raw_payload(PG=written))).pagination == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "EDL|{}|{}",
        "OCMF|{}",
        "OCMF|{",
        "OCMF|[]|{}",
        "OCMF|{}|{}",
        unsigned("{"),
        unsigned("[" * 10_000),
        unsigned('{"RD":[{"RV":1}],"PG":"T1","PG":"T2"}'),
        unsigned('{"RD":[{"RV":NaN}]}'),
        unsigned('{"RD":[{"RV":1}]}', "{}"),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":7}'),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":"0"}'),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":"zz"}'),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":"!","SE":"base64"}'),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":"00","SE":"base32"}'),
        unsigned('{"RD":[{"RV":1}]}', '{"SD":"' + "0" * 514 + '"}'),
        unsigned(raw_payload(RD=[])),
        unsigned(raw_payload(RD=None)),
        unsigned(raw_payload(RD=[1])),
        unsigned(raw_payload(RD=[{"RV": True}])),
        unsigned(raw_payload(RD=[{"RV": "1,5"}])),
        unsigned(raw_payload(RD=[{"RV": "1" * 33}])),
        unsigned(raw_payload(RD=[{"RV": "1e100"}])),
        unsigned(raw_payload(RD=[{"ST": 1}])),
        unsigned(raw_payload(RD=[{"ST": "x" * 65}])),
        unsigned(raw_payload(MS="x" * 257)),
        unsigned(raw_payload(MS=["x"])),
        "OCMF|\ud800|{}",
    ],
)
def test_what_is_no_record_is_refused_and_never_crashes(wrong: str) -> None:
    with pytest.raises(OcmfMalformed) as caught:
        ocmf.parse_ocmf(wrong)
    assert caught.value.code == "ledger/ocmf-malformed"


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(OcmfMalformed):
        ocmf.parse_ocmf(b"OCMF|\xff|{}")


def test_the_longest_text_is_read_and_one_byte_more_is_refused() -> None:
    short = unsigned(raw_payload(TT=""))
    room = MAX_TEXT_BYTES - len(short)
    assert ocmf.parse_ocmf(unsigned(raw_payload(TT="x" * room))).readings
    with pytest.raises(OcmfMalformed, match="too long"):
        ocmf.parse_ocmf(unsigned(raw_payload(TT="x" * (room + 1))))


def test_the_most_readings_are_read_and_one_more_is_refused() -> None:
    assert len(ocmf.parse_ocmf(unsigned(raw_payload(RD=[{"RV": 1}] * MAX_READINGS))).readings) == MAX_READINGS
    with pytest.raises(OcmfMalformed, match="readings"):
        ocmf.parse_ocmf(unsigned(raw_payload(RD=[{"RV": 1}] * (MAX_READINGS + 1))))


@pytest.mark.parametrize(
    ("energy", "decimals", "digits"),
    [
        (0, 4, "0.0000"),
        (260_049, 4, "0.2600"),
        (1_999_999, 0, "1"),
        (12_345_678_901, 6, "12345.678901"),
        (99, 4, "0.0000"),
    ],
)
def test_a_register_shows_whole_steps(energy: int, decimals: int, digits: str) -> None:
    assert meter.kwh_literal(energy, decimals) == digits


@pytest.mark.parametrize(("energy", "decimals"), [(-1, 4), (1, 7), (1, -1)])
def test_a_register_beyond_its_bounds_is_refused(energy: int, decimals: int) -> None:
    with pytest.raises(OcmfMalformed):
        meter.kwh_literal(energy, decimals)


def test_a_payload_that_would_not_be_read_back_is_not_signed() -> None:
    with pytest.raises(OcmfMalformed):
        ocmf.sign_ocmf('{"RD":[{"RV":1}]}|{"x":1}', METER)
    with pytest.raises(OcmfMalformed):
        ocmf.sign_ocmf(payload(gateway_id="x" * MAX_TEXT_BYTES), METER)
