"""One example of every record for the reference: made from its schema, the same each time, and taken by the schema again.

Ids, digests and times are made up; whether the rules would take it depends on what stands before it in the log.
"""

from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from ledger.records.record import Record

AT_MS: Final = 1_768_921_200_000
"""2026-01-20T15:00Z."""
QUARTER_MS: Final = 900_000
DIGEST: Final = "3f" * 32
TEXTS: Final = {
    "fsr_id": "fsr-evening",
    "by_fsr_id": "fsr-mandate",
    "fsc_id": "fsc-site",
    "fsc_ids": "fsc-site",
    "site_id": "DEPOT-7",
    "station_id": "DEPOT-7-E1",
    "evse_id": "FI*NGC*E1",
    "evse_ids": "FI*NGC*E1",
    "participation": "p-5f3510e03f1ca3f8",
    "batch_ids": "batch-1",
    "contested": "batch-1",
    "serial": "M-1",
    "evu_statement": "eyJ0eXAiOiJmbGV4LXN0YXRlbWVudCtqd3QifQ",
    "directive": "eyJ0eXAiOiJmbGV4LXN0YXRlbWVudCtqd3QifQ",
    "participants": "p-5f3510e03f1ca3f8",
    "congestion_point": "CP-1",
    "fo": "FI-AUR",
    "requester": "FI-AUR",
    "counterparty": "FI-NGC",
    "party": "FI-NGC",
    "provider": "FI-NGC",
    "recipient": "FI-AUR",
    "grantor": "FI-NGC",
    "delegate": "FI-CSP",
    "issuer": "FI-LAB",
    "service": "CONGESTION",
    "services": "CONGESTION",
    "functions": "LFSM_O",
    "eic": "10X1001A1001A450",
    "gsrn": "735999123456789013",
    "contract_id": "FI-CSP-C12345678-X",
    "operator_id": "FI*NGC",
    "region": "FI",
    "currency": "EUR",
    "code": "rules/double-selling",
    "rules": "rules/4",
    "profile": "FO/SIGNING/v1",
    "algorithm": "CONGESTION/1",
    "refused_type": "fsr.issued",
    "closed": "fsr/fsr-evening",
    "member": "evse_id",
    "retention": "P12M",
    "period": "2026-01",
    "legal_basis": "EnWG 14a",
    "purposes": "settlement",
    "ground": "LITIGATION",
    "platform": "roaming-hub",
    "standard": "EN50549",
    "control_modes": "CENTRAL_SETPOINT",
    "energy_transfer_modes": "DC_BPT",
}
"""By the member's name."""
BY_PATTERN: Final = (
    ("^[0-9a-f]{64}$", DIGEST),
    ("^[0-9a-f]{40}$", DIGEST[:40]),
    ("^[0-9a-f]{32}$", DIGEST[:32]),
    ("^[0-9A-F]{40}$", DIGEST[:40].upper()),
    (r"\+[0-9a-f]{8}\+", "ledger.example/northgate+1a2b3c4d+AXmVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV"),
    ("{16,64}$", "019bda34018070c6ffe4ebb392839612"),
    ("^[A-Za-z0-9+/]", "MIIBEDCBtgIBATAK"),
)
"""By a piece of the pattern, which comes first: digests have many names."""
LENGTHS: Final = {
    "duration_ms": QUARTER_MS,
    "at_ms": AT_MS,
    "accuracy_ppm": 10_000,
    "resolution_milliwh": 100,
    "sample_period_ms": 1_000,
    "ramp_w_per_s": 1_000,
    "resolution_ms": 1_000,
    "period_ms": QUARTER_MS,
    "step_ms": QUARTER_MS,
    "_at_ms": AT_MS,
    "from_ms": AT_MS,
    "until_ms": AT_MS + 4 * QUARTER_MS,
    "_to_ms": AT_MS + 4 * QUARTER_MS,
    "end_at_ms": AT_MS + 4 * QUARTER_MS,
    "respond_by_ms": AT_MS - 8 * QUARTER_MS,
    "deadline_ms": AT_MS - 4 * QUARTER_MS,
    "_w": 11_000,
    "_wh": 2_750,
    "_milliwh": 2_750_000,
    "_ppm": 1_000_000,
    "_permille": 800,
    "_micro": 120_000,
    "_millihertz": 50_000,
    "_ms": 1_000,
    "_s": 60,
}
"""By the end of the member's name; the longest that fits counts."""


@cache
def example(kind: type[Record]) -> bytes:
    """JSON of one instance, as a party that uses the gateway would say it: personal members in clear."""
    made = msgspec.convert(_value(inspect.type_info(kind), kind.TYPE), kind)
    return msgspec.json.format(msgspec.json.encode(made), indent=2)


def _value(info: inspect.Type, name: str) -> Any:
    match info:
        case inspect.Metadata(type=inner):
            return _value(inner, name)
        case inspect.IntType(ge=low, le=high):
            return _number(name, low or 0, high if high is not None else 2**53 - 1)
        case inspect.BoolType():
            return False
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.StrType():
            return _text(info, name)
        case inspect.VarTupleType(item_type=item, min_length=low):
            return [_value(item, name) for _ in range(max(1, low or 0))]
        case inspect.UnionType(types=types):
            return _value(next(one for one in types if not isinstance(one, inspect.NoneType)), name)
        case inspect.StructType():
            tag = {} if info.tag is None else {info.tag_field: info.tag}
            fields = [one for one in info.fields if one.name != "sd" and _is_said(one)]
            return tag | {one.encode_name: _value(one.type, one.name) for one in fields}
    raise TypeError(type(info).__name__)


def _is_said(field: inspect.Field) -> bool:
    """Required, or personal; what may be left out is left out, so that an example is short."""
    return field.required or (field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT)


def _number(name: str, low: int, high: int) -> int:
    ends = [end for end in LENGTHS if name.endswith(end)]
    wanted = LENGTHS[max(ends, key=len)] if ends else 1
    return min(max(wanted, low), high)


def _text(info: inspect.StrType, name: str) -> str:
    pattern = info.pattern or ""
    for piece, text in BY_PATTERN:
        if piece in pattern:
            return text
    if name in TEXTS:
        return TEXTS[name]
    if name.endswith("_id"):
        return name.removesuffix("_id") + "-1"
    return "example"
