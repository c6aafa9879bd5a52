import hashlib
import struct

import msgspec
import pytest

from ledger.delivery import samples
from ledger.delivery.errors import SampleProofRefused, SamplesMalformed
from ledger.delivery.samples import FULL_SOC_PERMILLE, MAX_SAMPLES, Measured, Sample, WideSample
from ledger.records.evidence import SampleSchema

START = 1_768_928_400_000
ALL = int(Measured.VOLTAGE | Measured.REACTIVE | Measured.UPSTREAM | Measured.SOC)
ONE = WideSample(START, -11_000, 49_591, 7_000, 0x10, 258, 229_500, -3_300, 1_250, 640, ALL)


def series(count: int, step_ms: int = 100) -> list[WideSample]:
    return [ONE._replace(t_ms=START + at * step_ms, seq=at) for at in range(count)]


def test_a_wide_record_is_the_plain_one_and_16_more_bytes_behind_a_header() -> None:
    body = samples.encode([ONE])
    plain = samples.encode([Sample(*ONE[:6])])
    further = f"{229_500:08x}" + "fffff31c" + f"{1_250:08x}" + f"{640:04x}" + "000f"
    assert body == b"flexs/2\n" + plain + bytes.fromhex(further)
    assert samples.decode(body) == (ONE,)
    assert samples.schema_of(body) is SampleSchema.WIDE
    assert (samples.schema_of(plain), samples.count(body), samples.count(plain)) == (SampleSchema.NARROW, 1, 1)


def test_a_leaf_of_wide_records_says_so_and_is_no_leaf_of_plain_ones() -> None:
    body = samples.encode(series(15))
    leaves = [hashlib.sha256(b"\0flexs/2\n" + body[8 + at * 400 : 8 + (at + 1) * 400]).digest() for at in (0, 1)]
    assert samples.root(body) == hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    proof = samples.prove_second(body, START // 1000 + 1)
    assert samples.open_second(proof, samples.root(body)) == tuple(series(15)[10:])
    bare = msgspec.structs.replace(proof, records=proof.records[8:])
    with pytest.raises((SampleProofRefused, SamplesMalformed)):
        samples.open_second(bare, samples.root(body))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"measured": 0x0010}, "measured bit"),
        ({"measured": ALL & ~Measured.VOLTAGE}, "not measured"),
        ({"measured": ALL & ~Measured.REACTIVE}, "not measured"),
        ({"measured": ALL & ~Measured.UPSTREAM}, "not measured"),
        ({"measured": ALL & ~Measured.SOC}, "not measured"),
        ({"voltage_millivolt": -1}, "negative voltage"),
        ({"soc_permille": FULL_SOC_PERMILLE + 1}, "more than full"),
        ({"status": 0x8000}, "status"),
        ({"freq_millihertz": -1}, "frequency"),
        ({"reactive_var": 2**31}, "width"),
    ],
)
def test_a_wide_record_that_contradicts_itself_is_refused(changed: dict[str, int], why: str) -> None:
    with pytest.raises(SamplesMalformed, match=why):
        samples.encode([ONE._replace(**changed)])


def test_a_value_that_was_not_measured_is_zero() -> None:
    none = ONE._replace(voltage_millivolt=0, reactive_var=0, upstream_w=0, soc_permille=0, measured=0)
    assert samples.decode(samples.encode([none])) == (none,)
    full = ONE._replace(soc_permille=FULL_SOC_PERMILLE)
    assert samples.decode(samples.encode([full])) == (full,)


@pytest.mark.parametrize("cut", [0, 1, 24, 39, 41])
def test_a_header_without_whole_records_is_refused(cut: int) -> None:
    body = samples.encode([ONE, ONE._replace(t_ms=START + 1)])[: 8 + cut]
    for read in (samples.decode, samples.root, samples.count):
        with pytest.raises(SamplesMalformed, match="whole"):
            read(body)


def test_plain_and_wide_samples_make_no_body_together() -> None:
    for mixed in (
        [ONE, Sample(START + 1, 0, 0, 0, 0, 1)],
        [Sample(START, 0, 0, 0, 0, 1), ONE._replace(t_ms=START + 1)],
    ):
        with pytest.raises(SamplesMalformed, match="width"):
            samples.encode(mixed)


def test_the_largest_wide_body_is_read_and_one_more_record_is_refused() -> None:
    record = struct.Struct(">QiiiHHiiiHH")
    body = b"flexs/2\n" + b"".join(record.pack(START + at, *(0,) * 10) for at in range(MAX_SAMPLES))
    assert samples.count(body) == MAX_SAMPLES
    with pytest.raises(SamplesMalformed, match="too many"):
        samples.count(body + record.pack(START + MAX_SAMPLES, *(0,) * 10))


def test_the_connection_of_the_building_is_integrated_like_an_evse_and_never_guessed() -> None:
    unmeasured = ONE._replace(t_ms=START + 1_000, upstream_w=0, measured=ALL & ~Measured.UPSTREAM)
    shown = samples.upstream([ONE, unmeasured, Sample(START + 2_000, 9, 0, 0, 0, 0)])
    assert [sample.power_w for sample in shown] == [1_250, 0, 0]
    part = samples.cover(shown, START, START + 3_000, max_hold_ms=5_000)
    assert (part.watt_ms, part.covered_ms) == (1_250_000, 1_000)
