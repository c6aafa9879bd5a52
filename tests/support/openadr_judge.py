"""Judges an export as OpenADR 3.1: a foreign library's models, strictly, and the value rules of OpenADR's enumerations.

The models are those of the package `openadr3` (targets are strings, a report has no program: the shape of 3.1). The
ranges are facts of the enumeration files that the specification publishes beside its API (`event-interval-payloads`,
`report-payloads`, `units`, `reading-types`); no registry carries those files, so the table is written here.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from openadr3.entities import models, raw

from api.verification.openadr import Export

OBJECT_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
DURATION: Final = re.compile(r"P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+[DW])?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?\Z")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
UNITS: Final = frozenset(
    ("KWH", "THERMS", "GHG", "VOLTS", "AMPS", "CELSIUS", "FAHRENHEIT", "PERCENT", "KW", "KVAH", "KVARH", "KVA", "KVAR")
)
READINGS: Final = frozenset(("DIRECT_READ", "ESTIMATED", "SUMMED", "MEAN", "PEAK", "FORECAST", "AVERAGE"))


class Unfit(AssertionError):
    """What OpenADR does not allow."""


def judge(found: Export) -> None:
    """Passes an export that a VTN of 3.1 takes; raises `Unfit`, or what the foreign library raises."""
    document = msgspec.json.decode(msgspec.json.encode(found))
    judge_program(document["program"])
    judge_event(document["event"])
    for one in document["reports"]:
        judge_report(one)


def judge_program(document: dict[str, Any]) -> None:
    """A program as a business logic posts it."""
    _model(raw.RawProgram, document)
    models.Program.from_raw(document)
    _must(document["objectType"] == "PROGRAM", "objectType", document["objectType"])
    _texts([document["programName"], *document["targets"]])


def judge_event(document: dict[str, Any]) -> None:
    """An event as a business logic posts it."""
    _model(raw.RawEvent, document)
    _must(document["objectType"] == "EVENT", "objectType", document["objectType"])
    _must(OBJECT_ID.match(document["programID"]) is not None, "programID", document["programID"])
    _must(document["priority"] >= 0, "priority", document["priority"])
    _texts(document["targets"])
    described = _described(document["payloadDescriptors"], "EVENT_PAYLOAD_DESCRIPTOR")
    for one in document["reportDescriptors"]:
        _known(one)
    _period(document["intervalPeriod"])
    _intervals(document["intervals"], described, EVENT_VALUES)
    read = models.Event.from_raw(document)
    for interval in read.resolved_intervals():
        _must(interval.interval_period is not None and interval.interval_period.period is not None, "period", None)


def judge_report(document: dict[str, Any]) -> None:
    """A report as a VEN posts it."""
    _model(raw.RawReport, document)
    models.Report.from_raw(document)
    _must(document["objectType"] == "REPORT", "objectType", document["objectType"])
    _must(OBJECT_ID.match(document["eventID"]) is not None, "eventID", document["eventID"])
    _texts([document["clientName"]])
    described = _described(document["payloadDescriptors"], "REPORT_PAYLOAD_DESCRIPTOR")
    _must(bool(document["resources"]), "resources", document["resources"])
    for resource in document["resources"]:
        _texts([resource["resourceName"]])
        _intervals(resource["intervals"], described, REPORT_VALUES)


def _model(model: Any, document: dict[str, Any]) -> None:
    """The foreign model: no member that it does not know, no value of another type."""
    model.model_validate(document, strict=True, extra="forbid", by_alias=True, by_name=False)


def _described(descriptors: list[dict[str, Any]], kind: str) -> set[str]:
    for one in descriptors:
        _must(one["objectType"] == kind, "objectType", one["objectType"])
        _known(one)
    return {one["payloadType"] for one in descriptors}


def _known(descriptor: dict[str, Any]) -> None:
    _texts([descriptor["payloadType"]])
    _must(descriptor.get("units") in {None, *UNITS}, "units", descriptor.get("units"))
    _must(descriptor.get("readingType") in {None, *READINGS}, "readingType", descriptor.get("readingType"))
    _must(re.match(r"[A-Z]{3}\Z", descriptor.get("currency", "EUR")) is not None, "currency", descriptor)


def _intervals(intervals: list[dict[str, Any]], described: set[str], known: dict[str, "Rule"]) -> None:
    _must(bool(intervals), "intervals", intervals)
    _must([one["id"] for one in intervals] == list(range(len(intervals))), "ids", [one["id"] for one in intervals])
    for interval in intervals:
        _period(interval["intervalPeriod"])
        _must(bool(interval["payloads"]), "payloads", interval)
        for payload in interval["payloads"]:
            kind, values = payload["type"], payload["values"]
            _must(kind in described, "a described payload", kind)
            # A private name has no rule, and starts so that it is never mistaken for one of OpenADR's.
            _must(kind in known or kind.startswith("x-"), "a payload of OpenADR or a private one", kind)
            _must(known.get(kind, _some)(values), f"values of {kind}", values)


def _period(period: dict[str, Any]) -> None:
    _must(MOMENT.match(period["start"]) is not None, "start", period["start"])
    for name in ("duration", "randomizeStart"):
        _must(DURATION.match(period.get(name, "PT0S")) is not None, name, period.get(name))


def _texts(values: Iterable[str]) -> None:
    for one in values:
        _must(1 <= len(one) <= 128, "1 to 128 characters", one)


def _must(holds: bool, expected: str, found: object) -> None:
    if not holds:
        raise Unfit(f"{expected}: {found!r}")


# Values of each payload type

Rule = Callable[[list[Any]], bool]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _some(values: list[Any]) -> bool:
    return bool(values) and all(_number(one) for one in values)


def _one(values: list[Any]) -> bool:
    return len(values) == 1 and _number(values[0])


def _from_zero(values: list[Any]) -> bool:
    return _one(values) and values[0] >= 0


def _text(values: list[Any]) -> bool:
    return len(values) == 1 and isinstance(values[0], str) and 1 <= len(values[0]) <= 128


def _points(values: list[Any]) -> bool:
    """Points in a row, as the API's `valuesMap` has them; the enumerations have a list of lists, which it refuses."""
    return bool(values) and all(set(one) == {"x", "y"} and _number(one["x"]) and _number(one["y"]) for one in values)


EVENT_VALUES: Final[dict[str, Rule]] = {
    "DISPATCH_SETPOINT": _from_zero,
    "DISPATCH_SETPOINT_RELATIVE": _from_zero,
    "IMPORT_CAPACITY_LIMIT": _from_zero,
    "PRICE": _one,
    "EXPORT_PRICE": _one,
    "CURVE": _points,
    "ALERT_GRID_EMERGENCY": _text,
}
REPORT_VALUES: Final[dict[str, Rule]] = {"DEMAND": _from_zero, "BASELINE": _one, "SETPOINT": _one}
