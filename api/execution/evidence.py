"""What an execution leaves behind: facts while it runs, and per EVSE the material that a proof of work is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from api.execution.port import EvseAddress
from ledger.delivery import samples as bodies
from ledger.delivery.samples import RECORD, WIDE_HEADER
from ledger.records.evidence import SampleSchema


class FactKind(Enum):
    """What happened to one participation."""

    DISPATCHED = "DISPATCHED"
    STARTED = "STARTED"
    SETPOINT_APPLIED = "SETPOINT_APPLIED"
    DEVIATION = "DEVIATION"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"
    COMMS_LOST = "COMMS_LOST"
    RESUMED = "RESUMED"
    ALARM = "ALARM"
    ALARM_CLEARED = "ALARM_CLEARED"
    COMPLETED = "COMPLETED"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFact:
    """One thing that happened, at `at_ms` of our clock or of the station's where `station_clock`.

    `cause` is from a closed set per kind (a reason code of the station, `Timeout`, `LateAnswer`, `EVDisconnected`),
    never free text. `values` are small integers such as the setpoint and the measured power.
    """

    fsr_id: str
    participation_ref: str
    evse: EvseAddress
    kind: FactKind
    at_ms: int
    cause: str | None = None
    command_id: str | None = None
    values: tuple[tuple[str, int], ...] = ()
    station_clock: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """From `from_ms` up to `to_ms`."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRule:
    """Which measurements to bring back.

    Under `LIVE_INTERVAL_MS` the station's own log is asked for, otherwise the periodic readings do. With
    `trigger_millihertz` the evidence is the log of `before_ms` before to `after_ms` after the first sample beyond the
    trigger anywhere in the group, both ends included, at `interval_ms`; if nothing crossed it, the whole service at
    `quiet_interval_ms`. Without a trigger it is `start` <= t < `end`. With `wide` the records are those of `samples/2`:
    voltage, reactive power, the building's connection and the state of charge as well.
    """

    interval_ms: int = 60_000
    trigger_millihertz: int | None = None
    trigger_below: bool = True
    before_ms: int = 10_000
    after_ms: int = 900_000
    quiet_interval_ms: int = 1000
    wide: bool = False


LIVE_INTERVAL_MS = 60_000
LOG_INTERVAL_MS = 1_000
"""The coarser of a station's own two records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseEvidence:
    """What one EVSE left: sample bodies (b"" if empty), the meter's signed texts, and what is known to be missing.

    `quiet_before`: the coarser records from the start up to the first of `samples`, where those are of an event only.
    `unproven`: spans of the service without measurements. `overridden`: spans in which a grid-code function ruled.
    `ended_at_ms`: when the obligation ended early because the EV left, or None.
    `event_at_ms`: the first sample beyond the trigger, or None.
    `samples_jws`, `quiet_jws`: what the station signed of each body, not yet proven, or None.
    """

    participation_ref: str
    evse: EvseAddress
    window: Span
    interval_ms: int
    samples: bytes
    quiet_before: bytes
    source: str
    ocmf_start: str | None
    ocmf_end: str | None
    unproven: tuple[Span, ...]
    overridden: tuple[Span, ...]
    ended_at_ms: int | None
    event_at_ms: int | None
    samples_jws: str | None = None
    quiet_jws: str | None = None

    @property
    def sample_count(self) -> int:
        """How many records."""
        return bodies.count(self.samples) if self.samples else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One finished execution: everything an EVSE left, and whether it was stopped early."""

    fsr_id: str
    started_at_ms: int
    ended_at_ms: int
    aborted: str | None
    evidence: tuple[EvseEvidence, ...]


def within(body: bytes, from_ms: int, to_ms: int) -> bytes:
    """The body of the records with `from_ms` <= t <= `to_ms`, their bytes untouched; b"" if there are none."""
    keep = [record for t_ms, record in _records(body) if from_ms <= t_ms <= to_ms]
    return _header(body) + b"".join(keep) if keep else b""


def holes(body: bytes, window: Span, interval_ms: int) -> tuple[Span, ...]:
    """The spans of `window` in which more than two intervals passed without a record."""
    times = [t_ms for t_ms, _ in _records(body)]
    edges = [window.from_ms, *times, window.to_ms]
    return tuple(Span(before, after) for before, after in pairwise(edges) if after - before > 2 * interval_ms)


def _header(body: bytes) -> bytes:
    return WIDE_HEADER if bodies.schema_of(body) is SampleSchema.WIDE else b""


def _records(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(time, bytes) of each record, of either format."""
    skip, width = len(_header(body)), bodies.record_bytes(bodies.schema_of(body))
    for at in range(skip, len(body) - width + 1, width):
        yield int.from_bytes(body[at : at + 8]), body[at : at + width]


def first_beyond(samples: bytes, trigger_millihertz: int, *, below: bool) -> int | None:
    """The time of the first record of `samples/1` whose frequency is under (or over) the trigger, or None."""
    for t_ms, _, freq_millihertz, *_ in RECORD.iter_unpack(samples):
        if freq_millihertz == 0:
            continue
        if (freq_millihertz < trigger_millihertz) if below else (freq_millihertz > trigger_millihertz):
            return int(t_ms)
    return None
