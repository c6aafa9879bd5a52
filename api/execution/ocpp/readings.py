"""What stations report, as telemetry: MeterValues, periodic streams and blocks of a DataCollector log.

A value that is out of range or not a number is dropped and counted, never guessed: a station with a broken meter must
not take the service down, and must not look better than it is.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.port import EvseAddress, SampleReading, SignedReading
from ledger.delivery import samples
from ledger.delivery.errors import SamplesMalformed
from ledger.delivery.rounding import half_even
from ledger.delivery.samples import FULL_SOC_PERMILLE
from ledger.delivery.station_root import Flattened, SignedRoot, text_of
from ledger.records.evidence import SampleSchema

MAX_ABS_W = 2**31 - 1
MAX_MILLIHERTZ = 100_000
MAX_BLOCKS = 128
MAX_BLOCK_BYTES = 32 * 1024
OCMF = "OCMF"
_SCALE = {"W": 1, "kW": 1000, "Hz": 1000, "var": 1, "kvar": 1000, "V": 1000, "Percent": 10}
_KIND = {"W": "W", "kW": "W", "Hz": "Hz", "var": "var", "kvar": "var", "V": "V", "Percent": "Percent"}


@dataclass(slots=True)
class Dropped:
    """How many values were not usable."""

    values: int = 0
    signed: int = 0
    blocks: int = 0


def read_meter_values(
    evse: EvseAddress,
    values: tuple[t.MeterValue, ...],
    *,
    received_at_ms: int,
    dropped: Dropped,
) -> Iterator[SampleReading | SignedReading]:
    """One `SampleReading` per moment that has a power, and one `SignedReading` per OCMF text."""
    for value in values:
        at_ms = t.to_ms(value.timestamp)
        reading = _sample(evse, at_ms, value.sampled_value, received_at_ms, dropped)
        if reading is not None:
            yield reading
        for sampled in value.sampled_value:
            signed = sampled.signed_meter_value
            if signed is None or signed.encoding_method != OCMF:
                continue
            text = _ocmf(signed.signed_meter_data)
            if text is None:
                dropped.signed += 1
            else:
                yield SignedReading(evse=evse, at_ms=at_ms, ocmf=text, context=sampled.context)


def _sample(
    evse: EvseAddress, at_ms: int, sampled: tuple[t.SampledValue, ...], received_at_ms: int, dropped: Dropped
) -> SampleReading | None:
    """Power is import minus export; Power.Active.Residual is misprinted in the standard and never used."""
    found: dict[str, int] = {}
    upstream: dict[str, int] = {}
    phases: list[int] = []
    for value in sampled:
        is_upstream = value.location == UPSTREAM
        if value.measurand not in (_ACTIVE if is_upstream else _WANTED):
            continue
        if value.phase is not None and value.measurand != "Voltage":
            continue
        number = _integer(value)
        if number is None:
            dropped.values += 1
        elif is_upstream:
            upstream[value.measurand] = number
        elif value.phase in _PHASES:
            phases.append(number)
        elif value.phase is None:
            found[value.measurand] = number
    if "Power.Active.Import" not in found and "Power.Active.Export" not in found:
        return None
    power_w = _net(found, "Power.Active.Import", "Power.Active.Export") or 0
    if abs(power_w) > MAX_ABS_W or at_ms < 0:
        dropped.values += 1
        return None
    return SampleReading(
        evse=evse,
        at_ms=at_ms,
        power_w=power_w,
        freq_millihertz=found.get("Frequency"),
        setpoint_w=found.get("Power.Active.Setpoint"),
        received_at_ms=received_at_ms,
        voltage_millivolt=half_even(sum(phases), len(phases)) if phases else found.get("Voltage"),
        reactive_var=_net(found, "Power.Reactive.Import", "Power.Reactive.Export"),
        upstream_w=_net(upstream, "Power.Active.Import", "Power.Active.Export"),
        soc_permille=found.get("SoC"),
    )


def _net(found: dict[str, int], imported: str, exported: str) -> int | None:
    """Import minus export; None where neither was said."""
    if imported not in found and exported not in found:
        return None
    return found.get(imported, 0) - found.get(exported, 0)


UPSTREAM = "Upstream"
_ACTIVE = frozenset({"Power.Active.Import", "Power.Active.Export"})
_BOUNDS = {"Frequency": MAX_MILLIHERTZ, "SoC": FULL_SOC_PERMILLE}
_WANTED = _ACTIVE | {
    "Power.Active.Setpoint",
    "Power.Reactive.Import",
    "Power.Reactive.Export",
    "Frequency",
    "Voltage",
    "SoC",
}
_PHASES = frozenset({"L1-N", "L2-N", "L3-N", "L1", "L2", "L3"})
_UNITS = {"Frequency": "Hz", "Voltage": "V", "SoC": "Percent"}
_NEVER_NEGATIVE = frozenset(_UNITS)


def _integer(value: t.SampledValue) -> int | None:
    """The value in our unit; None if it is out of range, not a number, or in a unit of something else."""
    unit = value.unit_of_measure
    default = _UNITS.get(value.measurand, "var" if "Reactive" in value.measurand else "W")
    name, multiplier = (default, 0) if unit is None else (unit.unit or default, unit.multiplier)
    scale = _SCALE.get(name)
    if scale is None or _KIND[name] != _KIND[default]:
        return None
    scaled = value.value * scale * 10.0**multiplier
    if not abs(scaled) <= _BOUNDS.get(value.measurand, MAX_ABS_W):  # also false for NaN
        return None
    number = round(scaled)
    return None if number < 0 and value.measurand in _NEVER_NEGATIVE else number


def _ocmf(data: str) -> str | None:
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text if text.startswith("OCMF|") else None


def read_stream(
    station_id: str, stream: m.NotifyPeriodicEventStream, received_at_ms: int, dropped: Dropped
) -> Iterator[SampleReading]:
    """Streams of ours: id is the EVSE's, a value is `power_w;freq_millihertz;setpoint_w`."""
    base_ms = t.to_ms(stream.basetime)
    for element in stream.data:
        fields = element.v.split(";")
        numbers = [int(text) for text in fields if text.removeprefix("-").isdecimal() and len(text) <= 11]
        if len(fields) != 3 or len(numbers) != 3 or not abs(element.t) < 10**9 or abs(numbers[0]) > MAX_ABS_W:
            dropped.values += 1
            continue
        yield SampleReading(
            evse=EvseAddress(station_id=station_id, evse_id=stream.id),
            at_ms=base_ms + round(element.t * 1000),
            power_w=numbers[0],
            freq_millihertz=numbers[1],
            setpoint_w=numbers[2],
            received_at_ms=received_at_ms,
        )


class LogBlock(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One block of a DataCollector log inside a DataTransfer."""

    request_id: t.Whole
    block: Annotated[int, Meta(ge=0, lt=MAX_BLOCKS)]
    blocks: Annotated[int, Meta(ge=1, le=MAX_BLOCKS)]
    records: Annotated[str, Meta(max_length=MAX_BLOCK_BYTES * 4 // 3 + 4)]


@dataclass(slots=True)
class Upload:
    """A log that is being uploaded."""

    command_id: str
    evse: EvseAddress
    schema: SampleSchema = SampleSchema.NARROW
    from_ms: int = 0
    to_ms: int = 0
    blocks: int | None = None
    signed: str | None = None
    parts: dict[int, bytes] = field(default_factory=dict)

    def take(self, block: LogBlock) -> bool:
        """Keep `block`; False if it does not fit the others."""
        try:
            records = base64.b64decode(block.records, validate=True)
        except (binascii.Error, ValueError):
            return False
        if (
            len(records) > MAX_BLOCK_BYTES
            or len(records) % samples.record_bytes(self.schema)
            or block.block >= block.blocks
        ):
            return False
        if self.blocks not in (None, block.blocks):
            return False
        self.blocks = block.blocks
        self.parts[block.block] = records
        return True

    def sign(self, message: m.SignedDataTransfer, root: SignedRoot) -> bool:
        """Keep what the station signed of this log, unproven; False for a second one, or for another log's."""
        asked = (self.evse.station_id, self.evse.evse_id, self.schema, self.from_ms, self.to_ms)
        if self.signed is not None or asked != (root.station_id, root.evse_id, root.schema, root.from_ms, root.to_ms):
            return False
        self.signed = signed_text(message)
        return True

    def whole(self) -> bytes | None:
        """All records in order as a body, or None if blocks are missing."""
        if self.blocks is None or len(self.parts) != self.blocks:
            return None
        return samples.body_of(b"".join(self.parts[index] for index in range(self.blocks)), self.schema)


def signed_text(message: m.SignedDataTransfer) -> str:
    """The JWS of a signed message, as it is kept."""
    return text_of(Flattened(payload=message.payload, protected=message.protected, signature=message.signature))


def is_body(records: bytes) -> bool:
    """They are whole records that their format allows, times rising: evidence that can be read later."""
    try:
        samples.decode(records)
    except SamplesMalformed:
        return False
    return True
