"""What was measured at a site while it took part in requests: energies by period, from the evidence in the vault.

A sum over few persons says what each of them did. So who is neither the operator nor an auditor is told of a period
only if enough distinct persons stand behind every quarter of an hour in it that has evidence at all; it is decided in
quarters whatever period is asked for, or an hour less three quarters would be the fourth. Only requests whose work is
proven count for them, and nothing is told of a quarter that goes on or that a request takes part of whose proof may yet
come: late evidence, or the few persons of a later request, would be the difference of two answers. A period of which
something was erased or restricted is told no more, or the difference would be what the erased person did.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from api.errors import Refused
from api.flows.desk import Desk
from api.flows.errors import NotConcerned
from api.flows.memory import Memory
from api.flows.standing import SEES_PERSONS, concerns
from api.principals import Principal
from ledger.delivery import samples
from ledger.delivery.rounding import PPM, half_even
from ledger.delivery.samples import WATT_MS_PER_MILLIWH, AnySample
from ledger.privacy.errors import AttachmentAbsent, ErasedData, LostData, RestrictedData
from ledger.rules.request_state import RequestState, RequestStatus
from ledger.rules.site_state import SiteState

QUARTER_MS: Final = 900_000
MAX_QUARTERS: Final = 31 * 96
"""A month."""
MAX_BODIES: Final = 1_000
"""Sample bodies that are opened for one report; each holds up to a day at one second."""
LEAST_PERSONS: Final = 5
NEVER_PROVEN: Final = frozenset({RequestStatus.CANCELLED, RequestStatus.UNPROVABLE})


class WindowUnfit(Refused):
    """The window is no whole number of periods, is empty, begins between two quarters of an hour, or is too long."""

    code = "api/window-unfit"
    title = "Window does not fit"


class ReportTooLarge(Refused):
    """More evidence lies in the window than one answer is made from; ask for a shorter one."""

    code = "api/report-too-large"
    title = "Report would be too large"


class EnergyPeriod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One period. Without energies, fewer persons stand behind a part of it than may be told apart."""

    start_at_ms: int
    import_milliwh: int | None = None
    export_milliwh: int | None = None
    covered_ppm: int | None = None
    """Share of the time of those EVSEs, while they took part, for which there is a usable measurement."""
    evses: int | None = None
    is_withheld: bool = False


class EnergyReport(msgspec.Struct, frozen=True, kw_only=True):
    """Energies at a site while it took part in requests, W > 0 being import; not what its grid connection measured."""

    tree_size: int
    site_id: str
    from_ms: int
    to_ms: int
    period_ms: int
    least_persons: int
    """How many distinct persons stand behind every period that is told; 1 for who may see each."""
    periods: tuple[EnergyPeriod, ...]
    """Those with evidence only."""
    batches: int
    not_opened: int
    """Batches whose bodies were erased, restricted or lost: what they measured is in no sum."""


@dataclass(slots=True)
class _Quarter:
    """What one quarter of an hour holds."""

    import_watt_ms: int = 0
    export_watt_ms: int = 0
    covered_ms: int = 0
    due_ms: int = 0
    evses: set[str] = field(default_factory=set)
    persons: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Measured:
    """One EVSE: its samples by time, however many requests they were collected for, and when it took part."""

    samples: dict[int, AnySample] = field(default_factory=dict)
    windows: list[tuple[int, int, str | None]] = field(default_factory=list)
    """(from, to, person)."""
    hold_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    """How the caller is told, and what not."""

    from_ms: int
    period_ms: int
    least: int
    gaps: Sequence[tuple[int, int]]

    def withholds(self, start_at_ms: int, inside: Sequence[_Quarter]) -> bool:
        """Whether a period stays untold."""
        if any(a < start_at_ms + self.period_ms and b > start_at_ms for a, b in self.gaps):
            return True
        return self.least > 1 and any(len(one.persons) < self.least for one in inside)


def require_window(from_ms: int, to_ms: int, period_ms: int) -> None:
    """Raises `WindowUnfit`."""
    if period_ms < QUARTER_MS or period_ms % QUARTER_MS:
        raise WindowUnfit("a period is a whole number of quarters of an hour", expected=f"a multiple of {QUARTER_MS}")
    if from_ms % QUARTER_MS or to_ms <= from_ms or (to_ms - from_ms) % period_ms:
        raise WindowUnfit("the window is no whole number of periods that begin with a quarter", expected="from < to")
    if to_ms - from_ms > MAX_QUARTERS * QUARTER_MS:
        raise WindowUnfit("the window is too long", expected=f"at most {MAX_QUARTERS * QUARTER_MS} ms")


async def report(
    desk: Desk, memory: Memory, site: SiteState, principal: Principal, *, from_ms: int, to_ms: int, period_ms: int
) -> EnergyReport:
    """The energies of the site in the window, as far as the caller may be told.

    Raises `WindowUnfit`, `ReportTooLarge`.
    """
    require_window(from_ms, to_ms, period_ms)
    tree_size = desk.appender.head.size
    least = 1 if principal.role in SEES_PERSONS else LEAST_PERSONS
    requests = list(_requests(desk, site, principal, from_ms, to_ms, only_proven=least > 1))
    bodies = [
        (request, pid, batch_id)
        for request in requests
        for pid, part in request.participations.items()
        for batch_id in part.batch_ids
    ]
    if len(bodies) > MAX_BODIES:
        raise ReportTooLarge("too much evidence", expected=f"at most {MAX_BODIES} batches", found=len(bodies))
    measured, gaps = await _measured(desk, memory, bodies)
    untold = [*gaps, *_unsettled(desk, site, principal, from_ms, to_ms)] if least > 1 else []
    quarters = await asyncio.to_thread(_quarters, measured, from_ms, to_ms)
    return EnergyReport(
        tree_size=tree_size,
        site_id=site.site_id,
        from_ms=from_ms,
        to_ms=to_ms,
        period_ms=period_ms,
        least_persons=least,
        periods=tuple(_periods(quarters, _Told(from_ms, period_ms, least, untold))),
        batches=len(bodies),
        not_opened=len(gaps),
    )


def _requests(
    desk: Desk, site: SiteState, principal: Principal, from_ms: int, to_ms: int, *, only_proven: bool
) -> Iterator[RequestState]:
    for request in desk.state.requests_until(from_ms):
        if request.issued.site_id != site.site_id or not concerns(desk, request, principal):
            continue
        if request.issued.end_at_ms <= from_ms or request.issued.start_at_ms >= to_ms:
            continue
        if not only_proven or request.work is not None:
            yield request


def _unsettled(
    desk: Desk, site: SiteState, principal: Principal, from_ms: int, to_ms: int
) -> Iterator[tuple[int, int]]:
    """Times of which an answer may yet change: what is not over, and requests that may yet be proven."""
    now_ms = desk.clock.now_ms()
    if now_ms < to_ms:
        yield now_ms, to_ms
    for request in _requests(desk, site, principal, from_ms, to_ms, only_proven=False):
        if request.work is None and request.bound() and request.status(now_ms) not in NEVER_PROVEN:
            yield request.issued.start_at_ms, request.issued.end_at_ms


async def _measured(
    desk: Desk, memory: Memory, bodies: Sequence[tuple[RequestState, str, str]]
) -> tuple[dict[str, _Measured], list[tuple[int, int]]]:
    """What each EVSE measured, and when the requests were of whose batches some could not be opened."""
    found: dict[str, _Measured] = {}
    gaps: list[tuple[int, int]] = []
    evses: dict[str, dict[str, str]] = {}
    for request, pid, batch_id in bodies:
        known = evses.setdefault(request.fsr_id, memory.participations(request.fsr_id))
        sha256 = memory.body_of(batch_id)
        try:
            if sha256 is None:
                raise NotConcerned("the vault no longer tells which body it was")
            body = desk.engines.vault.attachment(sha256)
        except (NotConcerned, AttachmentAbsent, ErasedData, LostData, RestrictedData):
            gaps.append((request.issued.start_at_ms, request.issued.end_at_ms))
            continue
        # An EVSE that nobody can name any longer is one by itself: its samples were of no other participation.
        one = found.setdefault(known.get(pid, pid), _Measured())
        for sample in await asyncio.to_thread(samples.decode, body):
            one.samples.setdefault(sample.t_ms, sample)
        one.windows.append((request.issued.start_at_ms, request.issued.end_at_ms, memory.person_of(pid)))
        one.hold_ms = max(one.hold_ms, min(samples.MAX_HOLD_MS, 2 * request.issued.evidence.resolution_ms))
    return found, gaps


def _quarters(measured: dict[str, _Measured], from_ms: int, to_ms: int) -> dict[int, _Quarter]:
    """By number of the quarter since `from_ms`; those with evidence only."""
    count = (to_ms - from_ms) // QUARTER_MS
    quarters: dict[int, _Quarter] = {}
    for evse, one in measured.items():
        series = [one.samples[at] for at in sorted(one.samples)]
        covers = samples.covers(series, from_ms, QUARTER_MS, count, max_hold_ms=one.hold_ms)
        for number, cover in enumerate(covers):
            start = from_ms + number * QUARTER_MS
            taking_part = [w for w in one.windows if w[0] < start + QUARTER_MS and w[1] > start]
            if not cover.covered_ms and not taking_part:
                continue
            quarter = quarters.setdefault(number, _Quarter())
            quarter.import_watt_ms += (cover.absolute_watt_ms + cover.watt_ms) // 2
            quarter.export_watt_ms += (cover.absolute_watt_ms - cover.watt_ms) // 2
            due_ms = _union([(max(a, start), min(b, start + QUARTER_MS)) for a, b, _ in taking_part])
            quarter.due_ms += max(due_ms, cover.covered_ms)
            quarter.covered_ms += cover.covered_ms
            quarter.evses.add(evse)
            quarter.persons |= {person for _, _, person in taking_part if person is not None}
    return quarters


def _union(spans: Sequence[tuple[int, int]]) -> int:
    """How long the spans are together, overlaps once."""
    total, end = 0, 0
    for a, b in sorted(spans):
        total += max(0, b - max(a, end))
        end = max(end, b)
    return total


def _periods(quarters: dict[int, _Quarter], told: _Told) -> Iterator[EnergyPeriod]:
    width = told.period_ms // QUARTER_MS
    by_period: dict[int, list[_Quarter]] = {}
    for number in sorted(quarters):
        by_period.setdefault(number // width, []).append(quarters[number])
    for number, inside in by_period.items():
        start_at_ms = told.from_ms + number * told.period_ms
        if told.withholds(start_at_ms, inside):
            yield EnergyPeriod(start_at_ms=start_at_ms, is_withheld=True)
            continue
        due_ms = sum(one.due_ms for one in inside)
        yield EnergyPeriod(
            start_at_ms=start_at_ms,
            import_milliwh=half_even(sum(one.import_watt_ms for one in inside), WATT_MS_PER_MILLIWH),
            export_milliwh=half_even(sum(one.export_watt_ms for one in inside), WATT_MS_PER_MILLIWH),
            covered_ppm=half_even(sum(one.covered_ms for one in inside) * PPM, due_ms) if due_ms else 0,
            evses=len(set().union(*(one.evses for one in inside))),
        )
