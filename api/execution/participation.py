"""One EVSE's part in a running request: what it was told, what it answered, what it measured."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from api.execution.evidence import EvidenceRule, EvseEvidence, Span, first_beyond, holes, within
from api.execution.port import EvseAddress, LogUploaded, SampleReading, SignedReading
from api.execution.request import Adopted
from api.execution.services import Instruction, Limit, Participant, Setpoint
from ledger.delivery.samples import RECORD, WIDE_HEADER, WIDE_RECORD, Measured, Status, decode

MAX_LIVE_READINGS = 100_000
SEQ_MODULUS = 1 << 16
TOLERANCE_SHARE = 50  # one fiftieth of the EVSE's power ...
TOLERANCE_W = 200  # ... but at least this


@dataclass(slots=True)
class Part:
    """The state of one participation while its request runs.

    `closed`: that it is over is on record. `away`: its run was broken off, and its station has not been heard of since.
    `unanswered`: it was told, and nobody knows whether it heard.
    """

    participant: Participant
    instruction: Instruction | None = None
    instructed_at_ms: int = 0
    renewed_at_ms: int = 0
    generation: int = 0
    dispatched: bool = False
    started: bool = False
    given_up: bool = False
    closed: bool = False
    away: bool = False
    unanswered: bool = False
    ended_at_ms: int | None = None
    deviating: bool = False
    override_from_ms: int | None = None
    overridden: list[Span] = field(default_factory=list)
    readings: dict[int, SampleReading] = field(default_factory=dict)
    first: SignedReading | None = None
    last: SignedReading | None = None
    log: bytes | None = None
    log_jws: str | None = None
    quiet: bytes | None = None
    before: LogUploaded | None = None

    @property
    def evse(self) -> EvseAddress:
        """Where."""
        return self.participant.evse

    @property
    def active(self) -> bool:
        """Still obliged: nobody left, nobody gave up, and it is not over."""
        return self.ended_at_ms is None and not self.given_up and not self.closed

    def adopt(self, known: Adopted | None) -> None:
        """Go on where another run was broken off; None: this one had no part in it."""
        if known is None:
            self.given_up = True
            return
        self.dispatched = self.away = True
        self.started, self.closed, self.ended_at_ms = known.has_started, known.is_closed, known.ended_at_ms

    def deviates(self, reading: SampleReading) -> bool:
        """Whether the measured power misses what was instructed, beyond the tolerance."""
        tolerance_w = max(TOLERANCE_W, self.participant.max_charge_w // TOLERANCE_SHARE)
        match self.instruction:
            case Limit(import_w=import_w, export_w=export_w):
                over = reading.power_w > import_w + tolerance_w
                return over or (export_w is not None and reading.power_w < -export_w - tolerance_w)
            case Setpoint(power_w=power_w):
                return abs(reading.power_w - power_w) > tolerance_w
            case _:
                return False

    def override(self, at_ms: int, *, ended: bool) -> None:
        """A grid-code function took over, or let go."""
        if not ended:
            self.override_from_ms = at_ms if self.override_from_ms is None else self.override_from_ms
        elif self.override_from_ms is not None:
            self.overridden.append(Span(self.override_from_ms, at_ms))
            self.override_from_ms = None

    def keep(self, reading: SampleReading) -> None:
        """Remember a live reading; one per moment, and no more than `MAX_LIVE_READINGS`."""
        if len(self.readings) < MAX_LIVE_READINGS:
            self.readings.setdefault(reading.at_ms, reading)

    def live_records(self, window: Span, *, wide: bool = False) -> bytes:
        """The live readings of `window` as a body, numbered here because the protocol does not number them."""
        times = sorted(t for t in self.readings if window.from_ms <= t < window.to_ms)
        records = b"".join(self._record(self.readings[t], seq, wide=wide) for seq, t in enumerate(times))
        return WIDE_HEADER + records if wide and records else records

    def _record(self, reading: SampleReading, seq: int, *, wide: bool) -> bytes:
        status = Status(0)
        if any(span.from_ms <= reading.at_ms < span.to_ms for span in self.overridden):
            status |= Status.GRID_CODE_OVERRIDE
        setpoint_w = reading.power_w if reading.setpoint_w is None else reading.setpoint_w
        plain = (
            reading.at_ms,
            reading.power_w,
            reading.freq_millihertz or 0,
            setpoint_w,
            int(status),
            seq % SEQ_MODULUS,
        )
        return WIDE_RECORD.pack(*plain, *_further(reading)) if wide else RECORD.pack(*plain)

    def event_at_ms(self, rule: EvidenceRule, window: Span) -> int | None:
        """The first moment of `window` at which this EVSE saw the frequency beyond the trigger, or None."""
        if rule.trigger_millihertz is None or self.log is None:
            return None
        records = within(self.log, window.from_ms, window.to_ms)
        return first_beyond(records, rule.trigger_millihertz, below=rule.trigger_below)

    def obliged(self, window: Span) -> Span:
        """The window as far as the obligation went."""
        if self.ended_at_ms is None:
            return window
        return Span(window.from_ms, max(window.from_ms, min(window.to_ms, self.ended_at_ms)))

    def evidence(self, window: Span, rule: EvidenceRule, *, interval_ms: int, event_at_ms: int | None) -> EvseEvidence:
        """All of it, as it stands. The window ends where the obligation did."""
        if self.override_from_ms is not None:
            self.override(window.to_ms, ended=True)
        window = self.obliged(window)
        if self.log is None:
            samples, source = self.live_records(window, wide=rule.wide), "LIVE"
            interval_ms = max(interval_ms, self._live_interval())
        else:
            last_ms = window.to_ms if event_at_ms is not None else window.to_ms - 1
            samples, source = within(self.log, window.from_ms, last_ms), "LOG"
        quiet_before = self._quiet_before(samples)
        return EvseEvidence(
            participation_ref=self.participant.ref,
            evse=self.evse,
            window=window,
            interval_ms=interval_ms,
            samples=samples,
            quiet_before=quiet_before,
            source=source,
            # A root is one of a whole body: what was cut is no longer what was signed.
            samples_jws=self.log_jws if samples == self.log else None,
            quiet_jws=self.before.station_jws if self.before and self.before.samples == quiet_before else None,
            ocmf_start=self.first.ocmf if self.first else None,
            ocmf_end=self.last.ocmf if self.last else None,
            unproven=holes(samples, window, interval_ms),
            overridden=tuple(self.overridden),
            ended_at_ms=self.ended_at_ms,
            event_at_ms=event_at_ms,
        )

    def _quiet_before(self, fine: bytes) -> bytes:
        """What the quiet recorder has from before the fine one's first record."""
        if self.quiet is None or not fine:
            return b""
        return within(self.quiet, 0, decode(fine)[0].t_ms - 1)

    def _live_interval(self) -> int:
        times = sorted(self.readings)
        gaps = [b - a for a, b in pairwise(times)]
        return min(gaps, default=0)


def first_event(parts: Iterable[Part], rule: EvidenceRule, window: Span) -> int | None:
    """The first moment of `window` at which any of them saw the frequency beyond the trigger, or None."""
    return min((at for part in parts if (at := part.event_at_ms(rule, window)) is not None), default=None)


def _further(reading: SampleReading) -> tuple[int, int, int, int, int]:
    """What a wide record has beyond a plain one; a value that was not read is 0, and its bit is not set."""
    values = (reading.voltage_millivolt, reading.reactive_var, reading.upstream_w, reading.soc_permille)
    measured = sum(bit for bit, value in zip(Measured, values, strict=True) if value is not None)
    voltage, reactive, upstream, soc = (value or 0 for value in values)
    return voltage, reactive, upstream, soc, measured
