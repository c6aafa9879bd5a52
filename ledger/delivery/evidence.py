"""The sample bodies of one piece of work, decoded once: integrals, coverage and exclusions by participation."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ledger.delivery import samples
from ledger.delivery.errors import SamplesMalformed, WorkRefused
from ledger.delivery.rounding import PPM, half_even
from ledger.delivery.samples import MAX_HOLD_MS, MAX_SAMPLES, AnySample, Cover
from ledger.delivery.verdicts.congestion import Actual
from ledger.delivery.verdicts.outcome import (
    MAX_PARTICIPATIONS,
    MAX_PERIODS,
    Exclusion,
    Reason,
    require_count,
    require_positive,
    require_powers,
)
from ledger.delivery.verdicts.traces import Trace
from ledger.delivery.work_inputs import Work

MAX_BODIES: Final = 96
"""Batches of one participation in one request."""
MAX_EXCLUSIONS: Final = 10_000
MAX_ID_CHARS: Final = 128


class Evidence(msgspec.Struct, frozen=True):
    """One participation's samples over all its bodies, the bodies' roots in hex, and the records known to be lost."""

    samples: tuple[AnySample, ...]
    roots: tuple[str, ...]
    lost: int


class Prepared(msgspec.Struct, frozen=True):
    """`counted` names the participations that are not excluded as a whole, in rising order."""

    work: Work
    evidence: Mapping[str, Evidence]
    shares_w: Mapping[str, int]
    counted: tuple[str, ...]
    excluded: tuple[Exclusion, ...]

    def trace(self, name: str, max_hold_ms: int | None = None) -> Trace:
        """The participation's samples with lookup by time."""
        hold_ms = self.work.max_hold_ms if max_hold_ms is None else min(max_hold_ms, self.work.max_hold_ms)
        return Trace(self.evidence[name].samples, hold_ms)

    def silences(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """The excluded intervals by participation."""
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for exclusion in self.excluded:
            if not exclusion.is_whole and exclusion.participation_id in self.counted:
                interval = (exclusion.start_at_ms, exclusion.end_at_ms)
                found[exclusion.participation_id] = (*found.get(exclusion.participation_id, ()), interval)
        return found


def prepare(work: Work) -> Prepared:
    """Decode every body and account for every participation. Raises WorkRefused or SamplesMalformed.

    A participation without samples, and without a reason, is listed as NO_EVIDENCE and still counts: what is not
    known is not left out.
    """
    _require(work)
    shares = {part.participation_id: part.ordered_w for part in work.participations}
    out = {
        exclusion.participation_id
        for exclusion in work.exclusions
        if exclusion.is_whole and exclusion.reason is not Reason.NO_EVIDENCE
    }
    evidence = {name: _evidence(work.bodies.get(name, ()), name) for name in sorted(shares)}
    listed = {exclusion.participation_id for exclusion in work.exclusions if exclusion.is_whole}
    missing = [
        Exclusion(participation_id=name, reason=Reason.NO_EVIDENCE)
        for name in shares
        if not evidence[name].samples and name not in listed
    ]
    excluded = sorted(
        [*work.exclusions, *missing],
        key=lambda one: (one.participation_id, one.start_at_ms, one.end_at_ms, one.reason.value),
    )
    counted = tuple(sorted(name for name in shares if name not in out))
    return Prepared(work, evidence, shares, counted, tuple(excluded))


def covers_of(
    prepared: Prepared, names: Sequence[str], start_at_ms: int, interval_ms: int, count: int
) -> dict[str, tuple[Cover, ...]]:
    """The integrals of each named participation over `count` intervals."""
    require_count(count, MAX_PERIODS, "intervals")
    return {
        name: samples.covers(
            prepared.evidence[name].samples,
            start_at_ms,
            interval_ms,
            count,
            max_hold_ms=prepared.work.max_hold_ms,
        )
        for name in names
    }


def mean_w(part: Cover) -> int:
    """Mean W over the covered part; 0 where nothing is covered (the coverage then says so)."""
    return half_even(part.watt_ms, part.covered_ms) if part.covered_ms else 0


def group_means(covers: Mapping[str, Sequence[Cover]], interval_ms: int) -> tuple[list[int], list[int]]:
    """Per interval: the sum of the participations' mean W, and the coverage in ppm of the least covered one."""
    rows = list(zip(*covers.values(), strict=True))
    powers = [sum(mean_w(part) for part in row) for row in rows]
    coverage = [min(part.covered_ms for part in row) * PPM // interval_ms for row in rows]
    return powers, coverage


def actuals(
    prepared: Prepared, covers: Mapping[str, Sequence[Cover]], start_at_ms: int, interval_ms: int
) -> list[Actual]:
    """The group per interval, with what excluded intervals take from the order: share x overlap, rounded down."""
    powers, coverage = group_means(covers, interval_ms)
    excused = [0] * len(powers)
    for name, silences in prepared.silences().items():
        for place in range(len(powers)):
            at = start_at_ms + place * interval_ms
            overlap = _overlap_ms(silences, at, at + interval_ms)
            excused[place] += prepared.shares_w[name] * overlap // interval_ms
    return [
        Actual(power_w=power_w, coverage_ppm=covered, excused_w=excuse)
        for power_w, covered, excuse in zip(powers, coverage, excused, strict=True)
    ]


def _overlap_ms(silences: Sequence[tuple[int, int]], start_at_ms: int, end_at_ms: int) -> int:
    """How many ms of the interval lie in one silence or more."""
    covered, at = 0, start_at_ms
    for start, end in sorted(silences):
        first, last = max(start, at), min(end, end_at_ms)
        if first < last:
            covered += last - first
            at = last
    return covered


def _evidence(bodies: Sequence[bytes], name: str) -> Evidence:
    if len(bodies) > MAX_BODIES:
        raise WorkRefused("too many sample bodies", expected=f"at most {MAX_BODIES}", found=len(bodies))
    found: list[AnySample] = []
    roots: list[str] = []
    lost = 0
    for place, body in enumerate(bodies):
        decoded = samples.decode(body)
        if found and decoded[0].t_ms <= found[-1].t_ms:
            raise SamplesMalformed("bodies overlap or are out of order", participation=name, body=place)
        found += decoded
        if len(found) > MAX_SAMPLES:
            raise SamplesMalformed("too many samples", expected=f"at most {MAX_SAMPLES}", participation=name)
        roots.append(samples.root(body).hex())
        lost += samples.lost(decoded)
    return Evidence(tuple(found), tuple(roots), lost)


def _require(work: Work) -> None:
    require_positive(start_at_ms=work.start_at_ms, end_at_ms=work.end_at_ms, max_hold_ms=work.max_hold_ms)
    if work.end_at_ms <= work.start_at_ms:
        raise WorkRefused("an empty window", expected=f"> {work.start_at_ms}", found=work.end_at_ms)
    if work.max_hold_ms > MAX_HOLD_MS:
        raise WorkRefused("samples stand too long", expected=f"at most {MAX_HOLD_MS} ms", found=work.max_hold_ms)
    require_count(len(work.participations), MAX_PARTICIPATIONS, "participations")
    names = {part.participation_id for part in work.participations}
    if len(names) != len(work.participations) or not all(0 < len(name) <= MAX_ID_CHARS for name in names):
        raise WorkRefused("participation ids", expected=f"distinct, 1..{MAX_ID_CHARS} characters")
    require_powers([part.ordered_w for part in work.participations], "share")
    if min(part.ordered_w for part in work.participations) < 0:
        raise WorkRefused("a negative share", expected=">= 0 W")
    if len(work.exclusions) > MAX_EXCLUSIONS:
        raise WorkRefused("too many exclusions", expected=f"at most {MAX_EXCLUSIONS}")
    unknown = set(work.bodies) - names | {one.participation_id for one in work.exclusions} - names
    if unknown:
        raise WorkRefused("evidence or exclusions of no participation", found=len(unknown))
    for one in work.exclusions:
        if not one.is_whole and not 0 < one.start_at_ms < one.end_at_ms:
            raise WorkRefused("an exclusion's interval", expected="0 < start < end, or both 0")
