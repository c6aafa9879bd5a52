"""Laws of `ledger.delivery` that hold for any input: exactness, conservation, order, and honest refusal."""

from fractions import Fraction

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.delivery import baselines, curves, meter, ocmf, readings, samples, settlement
from ledger.delivery.baselines import ExcludedBecause, ExcludedDay, HighXOfY, HistoryDay
from ledger.delivery.curves import Corner
from ledger.delivery.errors import OcmfMalformed, SampleProofRefused, SamplesMalformed
from ledger.delivery.meter import MeterReading
from ledger.delivery.readings import Pagination
from ledger.delivery.rounding import apportion, half_even
from ledger.delivery.samples import AnySample, Sample, WideSample
from ledger.delivery.verdicts import congestion
from ledger.delivery.verdicts.congestion import Actual
from ledger.delivery.verdicts.outcome import Direction, Period, Thresholds, Verdict
from ledger.errors import Refused
from ledger.tlog import hashing

pytestmark = pytest.mark.slow  # takes seconds

START = 1_768_928_400_000
WATTS = st.integers(-(10**9), 10**9)
KEY = ec.derive_private_key(63_382, ec.SECP256R1())
KEY_DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    gaps = draw(st.lists(st.integers(1, 3_000), min_size=1, max_size=60))
    at = START
    found: list[AnySample] = []
    is_wide = draw(st.booleans())
    for seq, gap in enumerate(gaps):
        at += gap
        power = draw(st.integers(-(2**31), 2**31 - 1))
        plain = Sample(at, power, draw(st.integers(0, 60_000)), 0, draw(st.sampled_from((0, 1, 2, 4, 8, 16))), seq)
        found.append(
            WideSample(*plain, 230_000, draw(st.integers(-(2**31), 2**31 - 1)), -1, 500, 15) if is_wide else plain
        )
    return samples.encode(found)


@given(st.integers(), st.integers(1, 10**12))
def test_division_agrees_with_exact_fractions(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_shares_add_up_and_stay_within_one_of_the_exact_share(total: int, weights: list[int]) -> None:
    shares = apportion(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    if whole:
        pairs = zip(shares, weights, strict=True)
        assert all(abs(share - Fraction(total * weight, whole)) < 1 for share, weight in pairs)


@given(bodies())
def test_a_body_is_its_samples_and_nothing_else(body: bytes) -> None:
    assert samples.encode(samples.decode(body)) == body


@given(bodies(), st.data())
def test_every_second_opens_under_the_root_and_under_no_other(body: bytes, data: st.DataObject) -> None:
    seconds = sorted({sample.t_ms // 1000 for sample in samples.decode(body)})
    second = data.draw(st.sampled_from(seconds))
    proof = samples.prove_second(body, second)
    opened = samples.open_second(proof, samples.root(body))
    assert opened == tuple(sample for sample in samples.decode(body) if sample.t_ms // 1000 == second)
    other = hashing.leaf(samples.root(body))
    try:
        samples.open_second(proof, other)
    except SampleProofRefused:
        return
    raise AssertionError("opened under another root")


@given(bodies(), st.integers(0, 20_000), st.integers(1, 4_000), st.integers(1, 8), st.integers(1, 60_000))
def test_buckets_add_up_to_the_whole(body: bytes, offset: int, width: int, count: int, hold: int) -> None:
    series = samples.decode(body)
    parts = samples.covers(series, START + offset, width, count, max_hold_ms=hold)
    whole = samples.cover(series, START + offset, START + offset + width * count, max_hold_ms=hold)
    assert tuple(map(sum, zip(*parts, strict=True))) == tuple(whole)
    assert all(0 <= part.covered_ms <= width and abs(part.watt_ms) <= part.absolute_watt_ms for part in parts)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: samples.WIDE_HEADER + rest))
def test_any_bytes_are_a_body_or_refused(data: bytes) -> None:
    try:
        decoded = samples.decode(data)
    except SamplesMalformed:
        return
    assert samples.encode(decoded) == data


@given(st.lists(st.tuples(WATTS, st.integers(0, 10**9), WATTS), min_size=1, max_size=8), st.sampled_from(Direction))
def test_an_order_is_delivered_or_deficient_never_both_and_never_neither(
    rows: list[tuple[int, int, int]], direction: Direction
) -> None:
    baseline, ordered, actual = (list(column) for column in zip(*rows, strict=True))
    ordered[0] = max(1, ordered[0])
    result = congestion.score(
        start_at_ms=START,
        isp_ms=900_000,
        baseline_w=baseline,
        ordered_w=ordered,
        actual=[Actual(power_w=power) for power in actual],
        terms=congestion.Terms(direction=direction),
    )
    for period in result.periods:
        assert 0 <= period.delivered_w <= period.ordered_w
        assert period.delivered_w + min(period.deficiency_w, period.ordered_w) == period.ordered_w
    assert (result.score_ppm == 1_000_000) == all(period.deficiency_w == 0 for period in result.periods)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 1_000_000),
    st.integers(0, 1_000_000),
)
def test_what_is_unprovable_becomes_provable_only_by_evidence(
    rows: list[tuple[int, bool]], first: int, second: int
) -> None:
    thresholds = Thresholds(delivered_from_ppm=max(first, second), partial_from_ppm=min(first, second))

    def verdict(unproven_w: int | None) -> Verdict:
        actual = [
            Actual(power_w=100 - power if is_proven or unproven_w is None else 100 - unproven_w)
            if is_proven or unproven_w is not None
            else Actual(power_w=0, coverage_ppm=0)
            for power, is_proven in rows
        ]
        return congestion.score(
            start_at_ms=START,
            isp_ms=900_000,
            baseline_w=[100] * len(rows),
            ordered_w=[100] * len(rows),
            actual=actual,
            terms=congestion.Terms(thresholds=thresholds),
        ).verdict

    without = verdict(None)
    if without is not Verdict.UNPROVABLE:
        assert verdict(0) == without == verdict(100)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=10), st.integers(0, 10**6))
def test_a_settlements_sums_are_its_lines(rows: list[tuple[int, int]], price: int) -> None:
    scored = [
        Period(
            start_at_ms=START,
            duration_ms=900_000,
            baseline_w=0,
            ordered_w=0,
            actual_w=0,
            delivered_w=delivered,
            deficiency_w=deficiency,
            excused_w=0,
            coverage_ppm=0,
        )
        for delivered, deficiency in rows
    ]
    terms = settlement.Terms(price_micro_per_kwh=price, penalty_micro_per_kwh=2 * price, currency="EUR")
    settled = settlement.settle(scored, terms)
    assert settled.net_micro == settled.pay_micro - settled.penalty_micro
    assert settled.net_micro == sum(line.net_micro for line in settled.lines)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12), st.data())
def test_the_selected_days_are_the_highest_and_none_is_lost(powers: list[int], data: st.DataObject) -> None:
    x = data.draw(st.integers(1, len(powers)))
    history = tuple(
        HistoryDay(date=f"2026-03-{2 * at + 1:02d}", isp_mean_w=(power,)) for at, power in enumerate(powers)
    )
    between = tuple(
        ExcludedDay(date=f"2026-03-{2 * at + 2:02d}", reason=ExcludedBecause.OTHER_DAY_TYPE)
        for at in range(len(powers))
    )
    inputs = HighXOfY(
        event_date=f"2026-03-{2 * len(powers) + 1:02d}",
        history=history,
        excluded=between,
        x=x,
        y=len(powers),
        event_isps=(0,),
        adjustment_isps=(),
        adjustment_actual_w=(),
    )
    result = baselines.compute(inputs)
    assert result.series_w == (round(Fraction(sum(sorted(powers, reverse=True)[:x]), x)),)
    assert list(result.selected_days) == sorted(result.selected_days)


@given(
    st.lists(st.tuples(st.integers(1, 10**6), WATTS), min_size=2, max_size=20, unique_by=lambda corner: corner[0]),
    st.integers(0, 2 * 10**6),
    st.integers(1, 20),
)
def test_a_curve_stays_between_its_corners(corners: list[tuple[int, int]], x: int, over: int) -> None:
    points = tuple(Corner(x=at, y=power) for at, power in sorted(corners))
    numerator, denominator = curves.ratio(points, 0, x, over)
    powers = [power for _, power in corners]
    assert min(powers) * denominator <= numerator <= max(powers) * denominator


@given(st.integers(0, 10**15), st.integers(0, 6))
def test_a_registers_digits_are_read_back_exactly(energy: int, decimals: int) -> None:
    step = 10 ** (6 - decimals)
    assert readings.energy_of(meter.kwh_literal(energy, decimals), "kWh") == (energy // step * step, step)


@settings(max_examples=40)
@given(st.integers(0, 10**12), st.integers(0, 2**53 - 1), st.text(max_size=20), st.data())
def test_a_signed_record_opens_and_with_any_byte_changed_it_does_not(
    energy: int, number: int, serial: str, data: st.DataObject
) -> None:
    reading = MeterReading(at_ms=START, energy_milliwh=energy, transaction="B")
    payload = meter.build_payload(meter_serial=serial, pagination=Pagination("T", number), readings=[reading])
    text = ocmf.sign_ocmf(payload, KEY)
    opened = ocmf.open_ocmf(text, KEY_DER)
    assert opened.record.pagination == Pagination("T", number)
    raw = bytearray(text.encode())
    place = data.draw(st.integers(5, len(payload.encode()) + 4))
    raw[place] ^= data.draw(st.integers(1, 127))
    try:
        ocmf.open_ocmf(bytes(raw), KEY_DER)
    except Refused:
        return
    raise AssertionError("a changed record opened")


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_any_text_is_a_record_or_refused(data: str | bytes) -> None:
    for text in (data, "OCMF|" + data if isinstance(data, str) else b"OCMF|" + data):
        try:
            ocmf.parse_ocmf(text)
        except OcmfMalformed:
            continue


@given(st.builds(baselines.Nomination, series_w=st.lists(WATTS, min_size=1, max_size=5).map(tuple)))
def test_a_digest_of_inputs_survives_the_wire(inputs: baselines.Nomination) -> None:
    again = msgspec.json.decode(msgspec.json.encode(inputs), type=baselines.Nomination)
    assert baselines.inputs_digest(again) == baselines.inputs_digest(inputs)
