import hashlib
import struct
from itertools import pairwise

import msgspec
import pytest

from ledger.delivery import samples
from ledger.delivery.errors import SampleProofRefused, SamplesMalformed
from ledger.delivery.samples import MAX_SAMPLES, ClosureVerdict, Sample, Status

START = 1_768_928_400_000


def series(powers: list[int], *, step_ms: int = 100, start: int = START, status: int = 0) -> list[Sample]:
    return [
        Sample(start + place * step_ms, power, 50_000, 0, status, place % 65_536) for place, power in enumerate(powers)
    ]


def test_a_record_is_24_big_endian_bytes() -> None:
    body = samples.encode([Sample(START, -11_000, 49_591, 7_000, 0x10, 258)])
    assert body.hex() == (f"{START:016x}" + "ffffd508" + f"{49_591:08x}" + f"{7_000:08x}" + "0010" + "0102")
    assert samples.decode(body) == (Sample(START, -11_000, 49_591, 7_000, 0x10, 258),)


def test_the_root_is_rfc_6962_over_one_leaf_a_second() -> None:
    body = samples.encode(series([1] * 25))
    leaves = [hashlib.sha256(b"\0" + body[at : at + 240]).digest() for at in (0, 240, 480)]
    left = hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()
    assert samples.root(body) == hashlib.sha256(b"\1" + left + leaves[2]).digest()


def test_a_second_without_samples_is_no_leaf() -> None:
    body = samples.encode([*series([1] * 10), *series([2] * 10, start=START + 5_000)])
    proof = samples.prove_second(body, START // 1000 + 5)
    assert (proof.index, proof.size) == (1, 2)
    with pytest.raises(SampleProofRefused) as caught:
        samples.prove_second(body, START // 1000 + 1)
    assert caught.value.code == "ledger/sample-proof"


def test_one_second_is_shown_without_the_others() -> None:
    body = samples.encode(series(list(range(9_000))))
    proof = samples.prove_second(body, START // 1000 + 450)
    assert len(proof.records) == 240
    assert len(proof.path) <= 10
    shown = samples.open_second(proof, samples.root(body))
    assert [sample.power_w for sample in shown] == list(range(4_500, 4_510))


def test_a_flipped_bit_in_a_shown_second_is_refused() -> None:
    body = samples.encode(series([5] * 40))
    proof = samples.prove_second(body, START // 1000 + 2)
    changed = bytearray(proof.records)
    changed[11] ^= 1
    for wrong in (
        msgspec.structs.replace(proof, records=bytes(changed)),
        msgspec.structs.replace(proof, index=1),
        msgspec.structs.replace(proof, size=5),
        msgspec.structs.replace(proof, path=proof.path[:-1]),
        msgspec.structs.replace(proof, second=proof.second + 1),
    ):
        with pytest.raises(SampleProofRefused):
            samples.open_second(wrong, samples.root(body))


@pytest.mark.parametrize("body", [b"", b"\0" * 23, b"\0" * 25])
def test_a_body_that_is_not_whole_records_is_refused(body: bytes) -> None:
    for read in (samples.decode, samples.root):
        with pytest.raises(SamplesMalformed) as caught:
            read(body)
        assert caught.value.code == "ledger/samples-malformed"


def test_times_that_do_not_rise_are_refused() -> None:
    twice = samples.encode(series([1])) * 2
    for read in (samples.decode, samples.root):
        with pytest.raises(SamplesMalformed, match="rise"):
            read(twice)


def test_an_unknown_status_bit_or_a_negative_frequency_is_refused() -> None:
    with pytest.raises(SamplesMalformed, match="status"):
        samples.encode([Sample(START, 0, 0, 0, 0x8000, 0)])
    with pytest.raises(SamplesMalformed, match="frequency"):
        samples.encode([Sample(START, 0, -1, 0, 0, 0)])


def test_a_field_beyond_its_width_is_refused() -> None:
    with pytest.raises(SamplesMalformed, match="width"):
        samples.encode([Sample(START, 2**31, 0, 0, 0, 0)])


def test_a_time_beyond_the_limit_is_refused() -> None:
    samples.decode(struct.pack(">QiiiHH", 2**53 - 1, 0, 0, 0, 0, 0))
    with pytest.raises(SamplesMalformed, match="time"):
        samples.decode(struct.pack(">QiiiHH", 2**53, 0, 0, 0, 0, 0))


def test_the_largest_body_is_read_and_one_more_record_is_refused() -> None:
    record = struct.Struct(">QiiiHH")
    body = b"".join(record.pack(START + at, 0, 0, 0, 0, 0) for at in range(MAX_SAMPLES))
    assert len(samples.decode(body)) == MAX_SAMPLES
    with pytest.raises(SamplesMalformed, match="too many"):
        samples.decode(body + record.pack(START + MAX_SAMPLES, 0, 0, 0, 0, 0))


def test_a_sample_stands_until_the_next_one() -> None:
    steps = [Sample(START, 1_000, 0, 0, 0, 0), Sample(START + 6_000, 3_000, 0, 0, 0, 1)]
    assert samples.mean_power_w(steps, START, START + 8_000) == 1_500
    assert samples.energy_watt_ms(steps, START, START + 8_000) == 12_000_000


def test_a_sample_from_before_reaches_into_the_interval_but_not_beyond_the_hold() -> None:
    one = [Sample(START, 1_000, 0, 0, 0, 0)]
    part = samples.cover(one, START + 500, START + 2_000, max_hold_ms=1_000)
    assert (part.watt_ms, part.covered_ms) == (500_000, 500)


def test_an_unusable_sample_ends_the_one_before_and_covers_nothing() -> None:
    for flag in (Status.BAD, Status.ESTIMATED, Status.CLOCK_UNSYNCHRONISED):
        steps = [Sample(START, 1_000, 0, 0, 0, 0), Sample(START + 1_000, 9_000, 0, 0, int(flag), 1)]
        part = samples.cover(steps, START, START + 3_000)
        assert (part.watt_ms, part.covered_ms) == (1_000_000, 1_000)


def test_late_samples_are_usable() -> None:
    assert samples.is_usable(series([1], status=int(Status.OFFLINE))[0])


def test_what_nothing_covers_has_no_mean() -> None:
    with pytest.raises(SamplesMalformed, match="covers"):
        samples.mean_power_w([], START, START + 1)
    with pytest.raises(SamplesMalformed, match="empty"):
        samples.mean_power_w(series([1]), START, START)


def test_import_and_export_are_kept_apart() -> None:
    steps = [Sample(START, 3_600, 0, 0, 0, 0), Sample(START + 1_000, -7_200, 0, 0, 0, 1)]
    assert samples.energies_milliwh(steps, START, START + 2_000) == (1_000, 2_000)


def test_buckets_are_filled_in_one_pass() -> None:
    steps = series([100, 200, 300, 400], step_ms=1_000)
    parts = samples.covers(steps, START, 2_000, 2, max_hold_ms=1_000)
    assert [part.watt_ms for part in parts] == [300_000, 700_000]


def test_the_counter_says_what_is_lost_across_its_wrap() -> None:
    steps = [Sample(START + at, 0, 0, 0, 0, seq) for at, seq in enumerate((65_534, 65_535, 2))]
    assert samples.lost(steps) == 2
    assert all(samples.lost(pair) == 0 for pair in pairwise(steps[:2]))


def seven_kw(seconds: int) -> list[Sample]:
    return series([7_000] * (seconds * 10 + 1))


def test_closure_proves_a_quarter_hour() -> None:
    closed = samples.closure(seven_kw(900), 0, 1_748_000, 5_000, 100)
    assert (closed.integral_milliwh, closed.tolerance_milliwh) == (1_750_000, 8_950)
    assert closed.verdict is ClosureVerdict.PROVES


def test_closure_finds_a_lying_meter() -> None:
    assert samples.closure(seven_kw(900), 0, 1_700_000, 5_000, 100).verdict is ClosureVerdict.FAILED


@pytest.mark.parametrize(("register", "verdict"), [(1_741_050, "PROVES"), (1_741_049, "FAILED")])
def test_closure_is_decided_at_its_tolerance(register: int, verdict: str) -> None:
    assert samples.closure(seven_kw(900), 0, register, 5_000, 100).verdict == verdict


def test_closure_of_five_seconds_on_a_coarse_register_proves_nothing() -> None:
    closed = samples.closure(seven_kw(5), 0, 10_000, 5_000, 10_000)
    assert closed.tolerance_milliwh > closed.integral_milliwh
    assert closed.verdict is ClosureVerdict.PROVES_NOTHING


def test_closure_over_a_gap_proves_nothing() -> None:
    holed = seven_kw(10)[:20] + seven_kw(900)[-20:]
    assert samples.closure(holed, 0, 1_750_000, 5_000, 100, max_hold_ms=1_000).verdict == "PROVES_NOTHING"


def test_closure_of_a_round_trip_is_judged_by_what_went_through() -> None:
    there_and_back = series([7_000] * 4_500 + [-7_000] * 4_501)
    closed = samples.closure(there_and_back, 0, 0, 5_000, 100)
    assert (closed.integral_milliwh, closed.tolerance_milliwh, closed.verdict) == (0, 8_950, "PROVES")


def test_closure_of_no_samples_is_refused() -> None:
    with pytest.raises(SamplesMalformed):
        samples.closure([], 0, 0, 5_000, 100)
