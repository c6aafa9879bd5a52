"""Sample bodies: fixed integer records, one leaf per second, an RFC 6962 root; integrals over them.

The formats are `docs/spec/samples.md`: `samples/1` has power and frequency in 24 bytes, `samples/2` adds voltage,
reactive power, the power at the building's connection and the state of charge in 40. A sample's power stands from its
own instant until the next sample, but for no longer than `max_hold_ms`: what is not measured is not covered, and never
guessed.
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntFlag, StrEnum
from itertools import pairwise
from typing import NamedTuple

import msgspec

from ledger.delivery.errors import SampleProofRefused, SamplesMalformed
from ledger.delivery.rounding import PPM, half_even, up
from ledger.records.evidence import SampleSchema
from ledger.tlog import hashing, merkle
from ledger.tlog.errors import ProofInvalid

RECORD = struct.Struct(">QiiiHH")
TIMES = struct.Struct(">Q16x")
RECORD_BYTES = 24
WIDE_RECORD = struct.Struct(">QiiiHHiiiHH")
WIDE_TIMES = struct.Struct(">Q32x")
WIDE_RECORD_BYTES = 40
WIDE_HEADER = b"flexs/2\n"
"""Begins a body, and each leaf, of `samples/2`. A record of `samples/1` begins with an octet 0: none is both."""
# Two and three quarter hours at 10 Hz, a day at 1 Hz with room.
MAX_SAMPLES = 100_000
MAX_T_MS = 2**53 - 1
# A minute is the coarsest evidence that any service class takes.
MAX_HOLD_MS = 60_000
WATT_MS_PER_MILLIWH = 3_600


class Status(IntFlag):
    """What the station says about a sample; 0 is a plain measured value."""

    ESTIMATED = 0x0001
    BAD = 0x0002
    CLOCK_UNSYNCHRONISED = 0x0004
    GRID_CODE_OVERRIDE = 0x0008
    OFFLINE = 0x0010


# A sample with one of these proves nothing about the instant it names.
UNUSABLE = Status.ESTIMATED | Status.BAD | Status.CLOCK_UNSYNCHRONISED
# Plain integers: an IntFlag costs a Python call for each sample.
_UNUSABLE = int(UNUSABLE)
KNOWN_STATUS = int(UNUSABLE | Status.GRID_CODE_OVERRIDE | Status.OFFLINE)


class Measured(IntFlag):
    """Which of the further values of a `samples/2` record were measured; one that was not is 0 there."""

    VOLTAGE = 0x0001
    REACTIVE = 0x0002
    UPSTREAM = 0x0004
    SOC = 0x0008


KNOWN_MEASURED = int(Measured.VOLTAGE | Measured.REACTIVE | Measured.UPSTREAM | Measured.SOC)
FULL_SOC_PERMILLE = 1_000


class Sample(NamedTuple):
    """One instant: Unix ms, W (> 0 import), mHz (0 = not measured), the setpoint then in force in W, flags, counter."""

    t_ms: int
    power_w: int
    freq_millihertz: int
    setpoint_w: int
    status: int
    seq: int


class WideSample(NamedTuple):
    """A `Sample` and more of the same instant, each where `measured` says so.

    RMS voltage between phase and neutral, the mean of the phases (mV); reactive power, > 0 absorbed (var); power at the
    building's grid connection, > 0 import (W); state of charge of the EV (thousandths).
    """

    t_ms: int
    power_w: int
    freq_millihertz: int
    setpoint_w: int
    status: int
    seq: int
    voltage_millivolt: int
    reactive_var: int
    upstream_w: int
    soc_permille: int
    measured: int


AnySample = Sample | WideSample


class SecondProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The records of one second, as a body, and their path to the root; shows nothing of any other second."""

    second: int
    index: int
    size: int
    records: bytes
    path: tuple[bytes, ...]


class Cover(NamedTuple):
    """An exact integral: W x ms over the covered ms of an interval, and the same of |W|."""

    watt_ms: int
    covered_ms: int
    absolute_watt_ms: int


class ClosureVerdict(StrEnum):
    """What the comparison with the calibrated register shows."""

    PROVES = "PROVES"
    FAILED = "FAILED"
    PROVES_NOTHING = "PROVES_NOTHING"


class Closure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The samples' energy beside the register's."""

    integral_milliwh: int
    register_milliwh: int
    tolerance_milliwh: int
    verdict: ClosureVerdict


def encode(samples: Iterable[AnySample]) -> bytes:
    """The body of these samples, all of one kind. Raises SamplesMalformed for a field out of range or times that do
    not rise."""
    samples = tuple(samples)
    is_wide = bool(samples) and isinstance(samples[0], WideSample)
    try:
        pack = WIDE_RECORD.pack if is_wide else RECORD.pack
        body = b"".join([pack(*sample) for sample in samples])
    except struct.error as error:
        raise SamplesMalformed("a field does not fit its width", found=str(error)) from error
    body = WIDE_HEADER + body if is_wide else body
    decode(body)
    return body


def schema_of(body: bytes) -> SampleSchema:
    """The format that the body says it has."""
    return SampleSchema.WIDE if body.startswith(WIDE_HEADER) else SampleSchema.NARROW


def record_bytes(schema: SampleSchema) -> int:
    """The width of one record."""
    return WIDE_RECORD_BYTES if schema is SampleSchema.WIDE else RECORD_BYTES


def body_of(records: bytes, schema: SampleSchema) -> bytes:
    """The body of these records, as they stand; b"" of none."""
    return WIDE_HEADER + records if schema is SampleSchema.WIDE and records else records


def decode(body: bytes) -> tuple[AnySample, ...]:
    """The samples, times strictly rising; `WideSample` if the body is `samples/2`. Raises SamplesMalformed."""
    count(body)
    samples: tuple[AnySample, ...]
    if schema_of(body) is SampleSchema.WIDE:
        samples = _decode_wide(body)
    else:
        samples = tuple(map(Sample._make, RECORD.iter_unpack(body)))
    _require_rising([sample.t_ms for sample in samples])
    for place, sample in enumerate(samples):
        if sample.status & ~KNOWN_STATUS:
            raise SamplesMalformed("an unknown status bit", found=f"{sample.status:#06x}", sample=place)
        if sample.freq_millihertz < 0:
            raise SamplesMalformed("a negative frequency", found=sample.freq_millihertz, sample=place)
    return samples


def _decode_wide(body: bytes) -> tuple[WideSample, ...]:
    samples = tuple(map(WideSample._make, WIDE_RECORD.iter_unpack(memoryview(body)[len(WIDE_HEADER) :])))
    for place, sample in enumerate(samples):
        measured = sample.measured
        if measured & ~KNOWN_MEASURED:
            raise SamplesMalformed("an unknown measured bit", found=f"{measured:#06x}", sample=place)
        further = (sample.voltage_millivolt, sample.reactive_var, sample.upstream_w, sample.soc_permille)
        for bit, value in zip(Measured, further, strict=True):
            if value and not measured & bit:
                raise SamplesMalformed("a value that was not measured", expected=0, found=value, sample=place)
        if sample.voltage_millivolt < 0:
            raise SamplesMalformed("a negative voltage", found=sample.voltage_millivolt, sample=place)
        if sample.soc_permille > FULL_SOC_PERMILLE:
            raise SamplesMalformed(
                "more than full", expected=f"at most {FULL_SOC_PERMILLE}", found=sample.soc_permille, sample=place
            )
    return samples


def count(body: bytes) -> int:
    """How many records. Raises SamplesMalformed for none, too many or a part of one."""
    schema = schema_of(body)
    width = record_bytes(schema)
    size = len(body) - (len(WIDE_HEADER) if schema is SampleSchema.WIDE else 0)
    if size <= 0 or size % width:
        raise SamplesMalformed("not whole records", expected=f"a multiple of {width}", found=size)
    if size // width > MAX_SAMPLES:
        raise SamplesMalformed("too many samples", expected=f"at most {MAX_SAMPLES}", found=size // width)
    return size // width


def _require_rising(times: Sequence[int]) -> None:
    if times[-1] > MAX_T_MS:
        raise SamplesMalformed("a time beyond the limit", expected=f"at most {MAX_T_MS}", found=times[-1])
    for place, (earlier, later) in enumerate(pairwise(times), start=1):
        if later <= earlier:
            raise SamplesMalformed("times do not rise", expected=f"> {earlier}", found=later, sample=place)


def _blocks(body: bytes) -> list[tuple[int, int, int]]:
    """(second, first byte, byte after) of each one-second block; a second without samples has no block."""
    count(body)
    is_wide = schema_of(body) is SampleSchema.WIDE
    skip, width = (len(WIDE_HEADER), WIDE_RECORD_BYTES) if is_wide else (0, RECORD_BYTES)
    layout = WIDE_TIMES if is_wide else TIMES
    times = [time for (time,) in layout.iter_unpack(memoryview(body)[skip:])]
    _require_rising(times)
    starts = [0]
    second = times[0] // 1000
    for place, time in enumerate(times):
        if time // 1000 != second:
            second = time // 1000
            starts.append(place)
    ends = [*starts[1:], len(times)]
    return [
        (times[start] // 1000, skip + start * width, skip + end * width)
        for start, end in zip(starts, ends, strict=True)
    ]


def _leaf_bytes(body: bytes, start: int, end: int) -> bytes:
    """What a leaf is the hash of: the block, behind the header of its format where that has one."""
    return body[start:end] if schema_of(body) is SampleSchema.NARROW else WIDE_HEADER + body[start:end]


def _leaves(body: bytes, blocks: Sequence[tuple[int, int, int]]) -> list[bytes]:
    if schema_of(body) is SampleSchema.NARROW:
        return [hashing.leaf(body[start:end]) for _, start, end in blocks]
    return [hashing.leaf(_leaf_bytes(body, start, end)) for _, start, end in blocks]


def root(body: bytes) -> bytes:
    """The RFC 6962 root over one leaf per second. Raises SamplesMalformed."""
    return merkle.root(_leaves(body, _blocks(body)))


def prove_second(body: bytes, second: int) -> SecondProof:
    """Show the samples of one Unix second and nothing else. Raises SampleProofRefused where it has none."""
    blocks = _blocks(body)
    index = next((place for place, block in enumerate(blocks) if block[0] == second), None)
    if index is None:
        raise SampleProofRefused("no sample in this second", second=second)
    _, start, end = blocks[index]
    read = merkle.reader(_leaves(body, blocks))
    path = tuple(merkle.inclusion_proof(index, len(blocks), read))
    return SecondProof(second=second, index=index, size=len(blocks), records=_leaf_bytes(body, start, end), path=path)


def open_second(proof: SecondProof, root: bytes) -> tuple[AnySample, ...]:
    """The samples of the second, after they were found under `root`. Raises SampleProofRefused."""
    samples = decode(proof.records)
    for place, sample in enumerate(samples):
        if sample.t_ms // 1000 != proof.second:
            raise SampleProofRefused("a sample of another second", expected=proof.second, sample=place)
    try:
        merkle.verify_inclusion(
            proof.path, index=proof.index, size=proof.size, leaf_hash=hashing.leaf(proof.records), root=root
        )
    except ProofInvalid as error:
        raise SampleProofRefused(
            "the second is not under the root", expected=error.expected, found=error.found, second=proof.second
        ) from error
    return samples


def is_usable(sample: AnySample) -> bool:
    """It proves something about its instant: not estimated, not bad, clock synchronised."""
    return not sample.status & _UNUSABLE


def upstream(samples: Iterable[AnySample]) -> tuple[Sample, ...]:
    """The power at the building's grid connection as samples of their own; where it was not measured they are BAD."""
    return tuple(
        Sample(one.t_ms, one.upstream_w, one.freq_millihertz, 0, one.status, one.seq)
        if isinstance(one, WideSample) and one.measured & Measured.UPSTREAM
        else Sample(one.t_ms, 0, 0, 0, int(Status.BAD), one.seq)
        for one in samples
    )


def covers(
    samples: Sequence[AnySample], start_at_ms: int, bucket_ms: int, count: int, *, max_hold_ms: int = MAX_HOLD_MS
) -> tuple[Cover, ...]:
    """The integrals over `count` buckets of `bucket_ms` from `start_at_ms`, in one pass.

    An unusable sample ends the one before it and covers nothing itself.
    """
    end_at_ms = start_at_ms + count * bucket_ms
    watt_ms, covered, absolute = [0] * count, [0] * count, [0] * count
    following = [sample.t_ms for sample in samples[1:]]
    if samples:
        following.append(samples[-1].t_ms + max_hold_ms)
    for sample, after in zip(samples, following, strict=True):
        if sample.status & _UNUSABLE:
            continue
        until = min(after, sample.t_ms + max_hold_ms, end_at_ms)
        at = max(sample.t_ms, start_at_ms)
        while at < until:
            place = (at - start_at_ms) // bucket_ms
            stop = min(until, start_at_ms + (place + 1) * bucket_ms)
            energy = sample.power_w * (stop - at)
            watt_ms[place] += energy
            absolute[place] += abs(energy)
            covered[place] += stop - at
            at = stop
    return tuple(map(Cover, watt_ms, covered, absolute))


def cover(samples: Sequence[AnySample], start_at_ms: int, end_at_ms: int, *, max_hold_ms: int = MAX_HOLD_MS) -> Cover:
    """The integral over `start_at_ms <= t < end_at_ms`. Raises SamplesMalformed for an empty interval."""
    if end_at_ms <= start_at_ms:
        raise SamplesMalformed("an empty interval", expected=f"an end after {start_at_ms}", found=end_at_ms)
    return covers(samples, start_at_ms, end_at_ms - start_at_ms, 1, max_hold_ms=max_hold_ms)[0]


def mean_power_w(
    samples: Sequence[AnySample], start_at_ms: int, end_at_ms: int, *, max_hold_ms: int = MAX_HOLD_MS
) -> int:
    """Mean W over the covered part, half to even. Raises SamplesMalformed where nothing is covered."""
    part = cover(samples, start_at_ms, end_at_ms, max_hold_ms=max_hold_ms)
    if part.covered_ms == 0:
        raise SamplesMalformed("no sample covers the interval", expected=f"{start_at_ms}..{end_at_ms}")
    return half_even(part.watt_ms, part.covered_ms)


def energy_watt_ms(
    samples: Sequence[AnySample], start_at_ms: int, end_at_ms: int, *, max_hold_ms: int = MAX_HOLD_MS
) -> int:
    """The exact net energy in W x ms (3,600 of them are one mWh); export is negative."""
    return cover(samples, start_at_ms, end_at_ms, max_hold_ms=max_hold_ms).watt_ms


def energies_milliwh(
    samples: Sequence[AnySample], start_at_ms: int, end_at_ms: int, *, max_hold_ms: int = MAX_HOLD_MS
) -> tuple[int, int]:
    """(import, export) in mWh, both >= 0, each half to even."""
    part = cover(samples, start_at_ms, end_at_ms, max_hold_ms=max_hold_ms)
    imported = (part.absolute_watt_ms + part.watt_ms) // 2
    exported = (part.absolute_watt_ms - part.watt_ms) // 2
    return half_even(imported, WATT_MS_PER_MILLIWH), half_even(exported, WATT_MS_PER_MILLIWH)


def lost(samples: Sequence[AnySample]) -> int:
    """How many records the 16-bit counter says are missing between neighbours (65,536 in a row go unseen)."""
    return sum((later.seq - earlier.seq - 1) % 65536 for earlier, later in pairwise(samples))


def closure(
    samples: Sequence[AnySample],
    start_milliwh: int,
    end_milliwh: int,
    class_ppm: int,
    resolution_milliwh: int,
    *,
    start_at_ms: int | None = None,
    end_at_ms: int | None = None,
    max_hold_ms: int = MAX_HOLD_MS,
) -> Closure:
    """Tie cheap samples to the calibrated register (net of import and export).

    The tolerance is the meter's class on the energy that went through, in either direction, plus two steps of the
    register. Where the tolerance exceeds that energy, or the samples do not cover the whole interval, the verdict is
    PROVES_NOTHING. The interval is the first to the last sample unless it is given.
    """
    if not samples:
        raise SamplesMalformed("no samples to compare with the register")
    start = samples[0].t_ms if start_at_ms is None else start_at_ms
    end = samples[-1].t_ms if end_at_ms is None else end_at_ms
    part = cover(samples, start, end, max_hold_ms=max_hold_ms)
    integral = half_even(part.watt_ms, WATT_MS_PER_MILLIWH)
    register = end_milliwh - start_milliwh
    tolerance = up(part.absolute_watt_ms * class_ppm, PPM * WATT_MS_PER_MILLIWH) + 2 * resolution_milliwh
    if part.covered_ms < end - start or tolerance * WATT_MS_PER_MILLIWH > part.absolute_watt_ms:
        verdict = ClosureVerdict.PROVES_NOTHING
    elif abs(integral - register) <= tolerance:
        verdict = ClosureVerdict.PROVES
    else:
        verdict = ClosureVerdict.FAILED
    return Closure(integral_milliwh=integral, register_milliwh=register, tolerance_milliwh=tolerance, verdict=verdict)
