"""How far signed meter values and samples carry as evidence: one grade per aspect, because a valid signature alone
is not yet usable evidence (of the public records that we tried, most have a clock in state "unknown").
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from ledger.delivery.errors import OcmfUnsupported
from ledger.delivery.ocmf import Quirk, VerifiedOcmf
from ledger.delivery.readings import Reading
from ledger.delivery.samples import Closure, ClosureVerdict
from ledger.delivery.verdicts.outcome import Verdict
from ledger.errors import LedgerError


class Grade(StrEnum):
    """FAILED is evidence against; UNKNOWN is no evidence; WEAK is evidence with a stated flaw."""

    OK = "OK"
    WEAK = "WEAK"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


class Trust(StrEnum):
    """Where a value's authenticity comes from, best first."""

    METER_SIGNED = "METER_SIGNED"
    STATION_SIGNED = "STATION_SIGNED"
    TRANSPORT_AUTHENTICATED = "TRANSPORT_AUTHENTICATED"
    UNSIGNED = "UNSIGNED"


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One aspect's grade and its stable code."""

    aspect: str
    grade: Grade
    code: str


class KeyBinding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What our PKI says: this key belongs to this meter at this EVSE, from..until (exclusive)."""

    key_sha256: str
    meter_serial: str
    valid_from_ms: int
    valid_until_ms: int


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When begin and end were received by the service's own clock, and how far the meter's clock may be off."""

    begin_at_ms: int
    end_at_ms: int
    tolerance_ms: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All aspects in the fixed order of `docs/spec/ocmf.md`, the worst grade, and the trust that follows."""

    findings: tuple[Finding, ...]
    overall: Grade
    trust: Trust
    energy_milliwh: int | None = None

    def of(self, aspect: str) -> Finding:
        """The finding of this aspect. Raises KeyError for an aspect that does not exist."""
        for finding in self.findings:
            if finding.aspect == aspect:
                return finding
        raise KeyError(aspect)


Shown = VerifiedOcmf | LedgerError | None
"""What `open_ocmf` gave or raised; None where no signed value came."""

Judged = tuple[str, Grade, str]

BARE = frozenset({Quirk.RAW_SIGNATURE, Quirk.RAW_KEY})
"""Departures of signature or key from the format: what was accepted by name is still weaker."""

_VALUE_ASPECTS = ("meter_state", "time", "register")
_ORDER = (Grade.OK, Grade.WEAK, Grade.UNKNOWN, Grade.FAILED)


def grade(
    begin: Shown,
    end: Shown,
    *,
    binding: KeyBinding | None,
    window: Window,
    records_between: int = 0,
    closure: Closure | None = None,
    missing_ppm: int | None = None,
    max_missing_ppm: int = 0,
    delivery: Verdict | None = None,
    channel: Trust = Trust.UNSIGNED,
    obis: str | None = None,
) -> Evidence:
    """The evidence of one participation over one window. Never raises: what cannot be judged is UNKNOWN.

    `records_between` is how many records of the same kind the meter wrote between begin and end, as far as we know
    them; `missing_ppm` the share of samples that are missing; `channel` the trust of the values besides the meter's;
    `obis` the register to read, or the first energy register of the begin record.
    """
    findings: list[Judged] = [("signature", *_signature(begin, end))]
    energy: int | None = None
    if isinstance(begin, VerifiedOcmf) and isinstance(end, VerifiedOcmf):
        findings.append(("key", *_key(begin, end, binding, window)))
        findings.append(("pagination", *_pagination(begin, end, records_between)))
        judged, energy = _values(begin, end, window, obis)
        findings += judged
    else:
        names = ("key", "pagination", *_VALUE_ASPECTS)
        findings += [(name, Grade.UNKNOWN, "NO_VERIFIED_VALUE") for name in names]
    findings += [
        ("closure", *_closure(closure)),
        ("completeness", *_completeness(missing_ppm, max_missing_ppm)),
        ("delivery", *_delivery(delivery)),
    ]
    grades = [found for _, found, _ in findings]
    is_meter_signed = all(
        found in (Grade.OK, Grade.WEAK) for name, found, _ in findings if name in ("signature", "key")
    )
    return Evidence(
        findings=tuple(Finding(aspect=name, grade=found, code=code) for name, found, code in findings),
        overall=max(grades, key=_ORDER.index),
        trust=Trust.METER_SIGNED if is_meter_signed else channel,
        energy_milliwh=energy,
    )


def _values(
    begin: VerifiedOcmf, end: VerifiedOcmf, window: Window, obis: str | None
) -> tuple[list[Judged], int | None]:
    """The grades of the two readings that count, and the energy between them where the register allows it."""
    first = _energy_reading(begin.record.readings, obis)
    last = None if first is None else _energy_reading(reversed(end.record.readings), first[0].obis)
    if first is None or last is None:
        return [(name, Grade.UNKNOWN, "NO_SUCH_REGISTER") for name in _VALUE_ASPECTS], None
    energy = last[1] - first[1]
    readings = (first[0], last[0])
    register = (Grade.OK, "REGISTER_RISES") if energy >= 0 else (Grade.FAILED, "REGISTER_BACKWARDS")
    judged: list[Judged] = [
        ("meter_state", *_meter_state(readings)),
        ("time", *_time(*readings, window)),
        ("register", *register),
    ]
    return judged, energy if energy >= 0 else None


def _energy_reading(readings: Iterable[Reading], obis: str | None) -> tuple[Reading, int] | None:
    """The first of these readings that is of the register, or of any energy register where none is named."""
    for reading in readings:
        energy = reading.energy_milliwh
        if energy is not None and obis in (None, reading.obis):
            return reading, energy
    return None


def _signature(begin: Shown, end: Shown) -> tuple[Grade, str]:
    shown = (begin, end)
    refusals = [value for value in shown if isinstance(value, LedgerError)]
    failed = [value for value in refusals if not isinstance(value, OcmfUnsupported)]
    if failed:
        return Grade.FAILED, failed[0].code
    if refusals:
        return Grade.UNKNOWN, refusals[0].code
    if begin is None or end is None:
        return Grade.UNKNOWN, "NO_SIGNED_VALUE"
    if any(isinstance(value, VerifiedOcmf) and value.record.quirks & BARE for value in shown):
        return Grade.WEAK, "SIGNATURE_WITH_QUIRK"
    return Grade.OK, "SIGNATURE_HOLDS"


def _key(begin: VerifiedOcmf, end: VerifiedOcmf, binding: KeyBinding | None, window: Window) -> tuple[Grade, str]:
    if binding is None:
        return Grade.UNKNOWN, "KEY_NOT_BOUND"
    if {begin.key_sha256, end.key_sha256} != {binding.key_sha256}:
        return Grade.FAILED, "KEY_OF_ANOTHER_METER"
    serials = {value.record.meter_serial or value.record.gateway_serial for value in (begin, end)}
    if serials != {binding.meter_serial}:
        return Grade.FAILED, "METER_SERIAL_DIFFERS"
    if not binding.valid_from_ms <= window.begin_at_ms <= window.end_at_ms < binding.valid_until_ms:
        return Grade.FAILED, "KEY_NOT_VALID_THEN"
    return Grade.OK, "KEY_BOUND"


def _pagination(begin: VerifiedOcmf, end: VerifiedOcmf, between: int) -> tuple[Grade, str]:
    """The counter rises by one with each record: a gap is a record that was not shown."""
    first, last = begin.record.pagination, end.record.pagination
    if first is None or last is None:
        return Grade.UNKNOWN, "NO_PAGINATION"
    if first.kind != last.kind:
        return Grade.FAILED, "PAGINATION_KIND_DIFFERS"
    if first.number == last.number:
        is_one = begin.record.payload == end.record.payload
        return (Grade.OK, "ONE_RECORD") if is_one else (Grade.FAILED, "PAGINATION_REPEATED")
    if last.number < first.number:
        return Grade.FAILED, "PAGINATION_BACKWARDS"
    if last.number - first.number != 1 + between:
        return Grade.FAILED, "PAGINATION_GAP"
    return Grade.OK, "PAGINATION_WHOLE"


def _meter_state(readings: Sequence[Reading]) -> tuple[Grade, str]:
    """OCMF table of ST: G is good, S a substitute value, N not present; all others are faults."""
    if any("E" in reading.error_flags for reading in readings):
        return Grade.FAILED, "ENERGY_ERROR"
    states = {reading.meter_state for reading in readings}
    if states - {"G", "S", "N", None}:
        return Grade.FAILED, "METER_FAULT"
    if states & {"N", None}:
        return Grade.UNKNOWN, "NO_METER_STATE"
    return (Grade.WEAK, "SUBSTITUTE_VALUE") if "S" in states else (Grade.OK, "METER_GOOD")


def _time(first: Reading, last: Reading, window: Window) -> tuple[Grade, str]:
    if "t" in first.error_flags + last.error_flags:
        return Grade.FAILED, "TIME_ERROR"
    begin_at_ms, end_at_ms = first.at_ms, last.at_ms
    if begin_at_ms is None or end_at_ms is None:
        return Grade.UNKNOWN, "NO_TIME"
    states = {first.time_state, last.time_state}
    if "U" in states:
        return Grade.UNKNOWN, "CLOCK_UNKNOWN"
    if end_at_ms < begin_at_ms:
        return Grade.FAILED, "TIME_BACKWARDS"
    off_ms = max(abs(begin_at_ms - window.begin_at_ms), abs(end_at_ms - window.end_at_ms))
    if off_ms > window.tolerance_ms:
        # A clock that was never said to be right does not accuse anybody by being wrong.
        return (Grade.FAILED, "TIME_OFF") if states == {"S"} else (Grade.UNKNOWN, "TIME_OFF_UNSYNCHRONISED")
    return (Grade.OK, "CLOCK_SYNCHRONISED") if states == {"S"} else (Grade.WEAK, "CLOCK_NOT_SYNCHRONISED")


def _closure(closure: Closure | None) -> tuple[Grade, str]:
    if closure is None:
        return Grade.UNKNOWN, "NO_CLOSURE"
    return {
        ClosureVerdict.PROVES: (Grade.OK, "CLOSURE_PROVES"),
        ClosureVerdict.FAILED: (Grade.FAILED, "CLOSURE_FAILED"),
        ClosureVerdict.PROVES_NOTHING: (Grade.UNKNOWN, "CLOSURE_PROVES_NOTHING"),
    }[closure.verdict]


def _completeness(missing_ppm: int | None, max_missing_ppm: int) -> tuple[Grade, str]:
    if missing_ppm is None:
        return Grade.UNKNOWN, "NO_SAMPLES"
    if missing_ppm == 0:
        return Grade.OK, "SAMPLES_WHOLE"
    return (Grade.WEAK, "SAMPLES_MISSING") if missing_ppm <= max_missing_ppm else (Grade.FAILED, "TOO_FEW_SAMPLES")


def _delivery(verdict: Verdict | None) -> tuple[Grade, str]:
    if verdict is None:
        return Grade.UNKNOWN, "NOT_SCORED"
    return {
        Verdict.DELIVERED: (Grade.OK, "DELIVERED"),
        Verdict.PARTIAL: (Grade.WEAK, "PARTIAL"),
        Verdict.FAILED: (Grade.FAILED, "FAILED"),
        Verdict.UNPROVABLE: (Grade.UNKNOWN, "UNPROVABLE"),
        Verdict.INFORMATIVE: (Grade.OK, "INFORMATIVE"),
    }[verdict]
