"""Elements are written as DER writes them, and read only if they are written so."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.x509 import ocsp as library
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from pki.asn1 import tlv
from pki.asn1.der import MalformedDer
from pki.asn1.ocsp import ResponseStatus

W = "thing"


@given(st.integers(-(2**170), 2**170))
def test_integers_are_those_of_pyasn1_and_are_read_back(value: int) -> None:
    written = tlv.integer(value)
    if not is_lowest_of_its_length(value):
        assert written == encoder.encode(univ.Integer(value))
    assert tlv.read_integer(tlv.only(written, tlv.INTEGER, W), W) == value


@pytest.mark.parametrize("octets", [1, 2, 8, 20])
def test_the_lowest_integer_of_a_length_has_no_octet_too_many(octets: int) -> None:
    # X.690 section 8.3.2: the first nine bits are not all ones. pyasn1 writes FF before the 80.
    lowest = -(2 ** (8 * octets - 1))
    assert is_lowest_of_its_length(lowest)
    written = tlv.integer(lowest)
    assert written == bytes([0x02, octets, 0x80]) + bytes(octets - 1)
    assert tlv.read_integer(tlv.only(written, tlv.INTEGER, W), W) == lowest
    with pytest.raises(MalformedDer):
        tlv.read_integer(tlv.only(bytes(encoder.encode(univ.Integer(lowest))), tlv.INTEGER, W), W)


def is_lowest_of_its_length(value: int) -> bool:
    """-128, -32768 and so on."""
    return value < 0 and value == -(2 ** (8 * ((value + 1).bit_length() // 8) + 7))


@pytest.mark.parametrize(
    "dotted", ["1.3.6.1.5.5.7.48.1.2", "2.5.29.21", "0.9.2342", "2.999.1", "1.3.6.1.4.1.32473.63382.1"]
)
def test_identifiers_are_those_of_pyasn1_and_are_read_back(dotted: str) -> None:
    written = tlv.identifier(dotted)
    assert written == encoder.encode(univ.ObjectIdentifier(dotted))
    assert tlv.read_identifier(tlv.only(written, tlv.OBJECT_IDENTIFIER, W), W) == dotted


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65_535, 65_536])
def test_lengths_are_as_short_as_can_be(size: int) -> None:
    written = tlv.octets(bytes(size))
    assert written == encoder.encode(univ.OctetString(bytes(size)))
    assert tlv.only(written, tlv.OCTET_STRING, W) == bytes(size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x04\x05abc",
        b"\x04\x80abc\x00\x00",
        b"\x04\x81\x03abc",
        b"\x04\x82\x00\x83" + bytes(0x83),
        b"\x04\x85\x00\x00\x00\x00\x01a",
        b"\x1f\x81\x01a",
        b"\x04\x01a\x00",
        b"\x02\x01a",
    ],
)
def test_what_der_would_not_write_is_not_read(data: bytes) -> None:
    with pytest.raises(MalformedDer):
        tlv.only(data, tlv.OCTET_STRING, W)


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80"])
def test_a_number_that_is_longer_than_need_be_is_not_read(content: bytes) -> None:
    with pytest.raises(MalformedDer):
        tlv.read_integer(content, W)


@pytest.mark.parametrize("content", [b"", b"\x80\x01", b"\x2a\x80", b"\x2a\x80\x01", b"\xff" * 6000 + b"\x01"])
def test_a_broken_identifier_is_not_read(content: bytes) -> None:
    with pytest.raises(MalformedDer):
        tlv.read_identifier(content, W)


@pytest.mark.parametrize("content", [b"", b"\x01\x80", b"\x07\x00"])
def test_a_bit_string_of_broken_octets_is_not_read(content: bytes) -> None:
    with pytest.raises(MalformedDer):
        tlv.read_bits(content, W)


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"20260230000000Z",
        b"20261301000000Z",
        b"20260101240000Z",
        b"20260101006000Z",
        b"20260101000060Z",
        b"2026010100000Z",
        b"20260101000000.5Z",
        b"20260101000000+",
        b"+0260101000000Z",
        b"20260101000000z",
    ],
)
def test_a_time_in_another_form_is_not_read(written: bytes) -> None:
    with pytest.raises(MalformedDer):
        tlv.read_time(written, W)


@given(st.integers(0, 4_102_444_800))
def test_times_are_read_back_to_the_second(at_s: int) -> None:
    content = tlv.only(tlv.generalized_time(at_s * 1000 + 999), tlv.GENERALIZED_TIME, W)
    assert tlv.read_time(content, W) == at_s * 1000
    assert content.decode() == dt.datetime.fromtimestamp(at_s, tz=dt.UTC).strftime("%Y%m%d%H%M%SZ")


def test_the_time_of_a_crl_is_utctime_until_2049_and_generalized_time_after() -> None:
    last_ms = int(dt.datetime(2049, 12, 31, 23, 59, 59, tzinfo=dt.UTC).timestamp()) * 1000
    assert tlv.time(last_ms) == b"\x17\x0d491231235959Z"
    assert tlv.time(last_ms + 1000) == b"\x18\x0f20500101000000Z"


def test_extensions_are_read_with_their_flags_and_never_twice() -> None:
    nonce, other = x509.OCSPNonce.oid, x509.ObjectIdentifier("1.2.3")
    written = tlv.extension(nonce, b"\x04\x01a") + tlv.extension(other, b"\x05\x00", critical=True)
    assert tlv.read_extensions(written, W) == {
        nonce.dotted_string: (False, b"\x04\x01a"),
        "1.2.3": (True, b"\x05\x00"),
    }
    for broken in (written + written, b"", b"\x31\x00", written.replace(b"\x01\x01\xff", b"\x01\x01\x00")):
        with pytest.raises(MalformedDer):
            tlv.read_extensions(broken, W)


def test_what_the_library_calls_a_status_is_what_we_call_one() -> None:
    assert {one.name: one.value for one in ResponseStatus} == {
        one.name: one.value for one in library.OCSPResponseStatus
    }
