"""What an execution leaves behind: facts while it runs, and per EVSE the material that a proof of work is made of."""

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from api.execution.port import EvseAddress
from ledger.delivery.samples import RECORD, RECORD_BYTES


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
    `quiet_interval_ms`. Without a trigger it is `start` <= t < `end`.
    """

    interval_ms: int = 60_000
    trigger_millihertz: int | None = None
    trigger_below: bool = True
    before_ms: int = 10_000
    after_ms: int = 900_000
    quiet_interval_ms: int = 1000


LIVE_INTERVAL_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseEvidence:
    """What one EVSE left: whole 24-byte records, the meter's signed texts, and what is known to be missing.

    `quiet_before`: the coarser records from the start up to the first of `samples`, where those are of an event only.
    `unproven`: spans of the service without measurements. `overridden`: spans in which a grid-code function ruled.
    `ended_at_ms`: when the obligation ended early because the EV left, or None.
    `event_at_ms`: the first sample beyond the trigger, or None.
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
    raw_start: bytes | None
    raw_end: bytes | None
    unproven: tuple[Span, ...]
    overridden: tuple[Span, ...]
    ended_at_ms: int | None
    event_at_ms: int | None

    @property
    def sample_count(self) -> int:
        """How many records."""
        return len(self.samples) // RECORD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One finished execution: everything an EVSE left, and whether it was stopped early."""

    fsr_id: str
    started_at_ms: int
    ended_at_ms: int
    aborted: str | None
    evidence: tuple[EvseEvidence, ...]


def within(records: bytes, from_ms: int, to_ms: int) -> bytes:
    """The records with `from_ms` <= t <= `to_ms`, bytes untouched."""
    keep = [
        records[at * RECORD_BYTES : (at + 1) * RECORD_BYTES]
        for at, fields in enumerate(RECORD.iter_unpack(records))
        if from_ms <= fields[0] <= to_ms
    ]
    return b"".join(keep)


def holes(samples: bytes, window: Span, interval_ms: int) -> tuple[Span, ...]:
    """The spans of `window` in which more than two intervals passed without a record."""
    times = [fields[0] for fields in RECORD.iter_unpack(samples)]
    edges = [window.from_ms, *times, window.to_ms]
    return tuple(Span(before, after) for before, after in pairwise(edges) if after - before > 2 * interval_ms)


def first_beyond(samples: bytes, trigger_millihertz: int, *, below: bool) -> int | None:
    """The time of the first record whose frequency is under (or over) the trigger, or None."""
    for t_ms, _, freq_millihertz, *_ in RECORD.iter_unpack(samples):
        if freq_millihertz == 0:
            continue
        if (freq_millihertz < trigger_millihertz) if below else (freq_millihertz > trigger_millihertz):
            return int(t_ms)
    return None
