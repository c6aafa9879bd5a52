"""What a meter writes: the payload of an OCMF record, with the literal digits of its register."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from ledger.delivery.errors import OcmfMalformed
from ledger.delivery.readings import Pagination

IMPORT_TOTAL = "1-b:1.8.0"
EXPORT_TOTAL = "1-b:2.8.0"
MAX_DECIMALS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """One reading to be written. `energy_milliwh` is the true counter; the register shows whole steps of it."""

    at_ms: int
    energy_milliwh: int
    transaction: str
    time_state: str = "S"
    utc_offset_min: int = 0
    obis: str = IMPORT_TOTAL
    decimals: int = 4
    error_flags: str = ""
    meter_state: str = "G"
    current: str = "AC"


def kwh_literal(energy_milliwh: int, decimals: int) -> str:
    """The digits that a kWh register with this many decimals shows: cut down, as registers do."""
    if not 0 <= decimals <= MAX_DECIMALS or energy_milliwh < 0:
        raise OcmfMalformed("not a register", expected=f"0..{MAX_DECIMALS} decimals, energy >= 0")
    shown = energy_milliwh // 10 ** (6 - decimals)
    if decimals == 0:
        return str(shown)
    digits = str(shown).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def time_text(at_ms: int, utc_offset_min: int, state: str) -> str:
    """Such as `2026-01-20T17:00:00,000+0200 S`."""
    moment = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(timezone(timedelta(minutes=utc_offset_min)))
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp},{at_ms % 1000:03d}{moment.strftime('%z')} {state}"


def build_payload(
    *,
    meter_serial: str,
    pagination: Pagination,
    readings: Sequence[MeterReading],
    gateway_id: str = "flexledger-sim",
    gateway_version: str = "1",
    meter_vendor: str = "flexledger",
    meter_model: str = "sim",
    meter_firmware: str = "1",
    evse_id: str | None = None,
) -> str:
    """The JSON text to sign. Nobody is identified in it (IS false)."""
    fields = {
        "FV": "1.4",
        "GI": gateway_id,
        "GS": meter_serial,
        "GV": gateway_version,
        "PG": f"{pagination.kind}{pagination.number}",
        "MV": meter_vendor,
        "MM": meter_model,
        "MS": meter_serial,
        "MF": meter_firmware,
        "IS": False,
        "IT": "NONE",
        "ID": "",
    }
    if evse_id is not None:
        fields |= {"CT": "EVSEID", "CI": evse_id}
    head = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    # The value is written as digits, not through a float: 0.2600 keeps its zeros.
    return f'{head[:-1]},"RD":[{",".join(_reading(reading) for reading in readings)}]}}'


def _reading(reading: MeterReading) -> str:
    before = {
        "TM": time_text(reading.at_ms, reading.utc_offset_min, reading.time_state),
        "TX": reading.transaction,
    }
    after = {
        "RI": reading.obis,
        "RU": "kWh",
        "RT": reading.current,
        "EF": reading.error_flags,
        "ST": reading.meter_state,
    }
    opened = json.dumps(before, separators=(",", ":"), ensure_ascii=False)[:-1]
    closed = json.dumps(after, separators=(",", ":"), ensure_ascii=False)[1:]
    return f'{opened},"RV":{kwh_literal(reading.energy_milliwh, reading.decimals)},{closed}'
