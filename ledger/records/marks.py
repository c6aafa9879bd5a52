"""Every field of every record is marked public, with the reason why, or personal, with its category; none is unmarked.

The same marks drive the ingest gate, redaction, retention, exports, the Art. 30 record and `x-personal-data`.
"""

from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec


class Category(StrEnum):
    """What kind of personal data a field holds."""

    IDENTITY = "identity"
    CONTRACT = "contract"
    VEHICLE = "vehicle"
    LOCATION = "location"
    TIME = "time"
    METER = "meter"
    BEHAVIOUR = "behaviour"
    CREDENTIAL = "credential"
    STAFF = "staff"


UNIONS: Final = (Union, UnionType)
"""What `get_origin` says of `X | Y`, however it is written."""

Kind = Literal["direct", "quasi", "sensitive"]


class Public(msgspec.Struct, frozen=True):
    """The field may stand in the log for ever, because `why`."""

    why: str


class Personal(msgspec.Struct, frozen=True):
    """The field stands in the log as a salted digest only; its value lives in the vault."""

    category: Category
    kind: Kind
    retention: str = "P2Y"
    portable: bool = False


def public(why: str) -> msgspec.Meta:
    """Marks a field public; `why` is printed in the reference."""
    return msgspec.Meta(extra={"mark": Public(why)}, extra_json_schema={"x-personal-data": False})


def personal(category: Category, kind: Kind, *, retention: str = "P2Y", portable: bool = False) -> msgspec.Meta:
    """Marks a field personal; the record type must give it the default UNSET."""
    mark = Personal(category, kind, retention, portable)
    shown = {"category": category.value, "kind": kind, "retention": retention, "portable": portable}
    return msgspec.Meta(extra={"mark": mark}, extra_json_schema={"x-personal-data": shown})


def shown_personal(category: Category, kind: Kind) -> msgspec.Meta:
    """Marks a member of an interface, in its JSON Schema; it is no member of a record, and is kept nowhere by it."""
    return msgspec.Meta(extra_json_schema={"x-personal-data": {"category": category.value, "kind": kind}})


def mark_of(annotation: Any) -> Public | Personal | None:
    """The mark in a field's annotation, or None where there is none. In `Annotated[X, mark] | None` it is X's.

    Of several the last one stands, as msgspec has it.
    """
    origin = get_origin(annotation)
    if origin in UNIONS:
        return next((found for member in get_args(annotation) if (found := mark_of(member)) is not None), None)
    if origin is not Annotated:
        return None
    for meta in reversed(annotation.__metadata__):
        if isinstance(meta, msgspec.Meta) and meta.extra and "mark" in meta.extra:
            mark: Public | Personal = meta.extra["mark"]
            return mark
    return mark_of(annotation.__origin__)
