"""Hypothesis strategies for any registered record, made from its own schema."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from ledger.records import identifiers
from ledger.records.record import Record

MAX_ITEMS = 3
CURRENCY = r"^[A-Z]{3}$(?!\n)"
_END = re.compile(r"\$\(\?!\\n\)$")


@cache
def of(kind: type[Record]) -> st.SearchStrategy[Any]:
    """Instances of `kind`: every field within its bounds, personal ones present."""
    return _value(inspect.type_info(kind))


def _value(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _value(inner)
        case inspect.IntType(ge=low, le=high):
            return st.integers(low if low is not None else 0, high if high is not None else 2**53 - 1)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.StrType():
            return _text(info)
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            most = min(MAX_ITEMS if high is None else high, max(MAX_ITEMS, low or 0))
            return st.lists(_value(item), min_size=low or 0, max_size=most).map(tuple)
        case inspect.UnionType(types=types):
            return st.one_of([_value(one) for one in types])
        case inspect.StructType(cls=cls, fields=fields):
            made = {field.name: _value(field.type) for field in fields if field.name != "sd"}
            return st.builds(cls, **made)
    raise TypeError(type(info).__name__)


_CHECKED: dict[str, Callable[[str], str]] = {
    identifiers.EIC_PATTERN: lambda text: "10X1001A1001A450" if text[0] < "5" else "10X1001A1001A39W",
    identifiers.GSRN_PATTERN: lambda text: text[:17] + identifiers.gsrn_check(text[:17]),
    identifiers.CONTRACT_ID_PATTERN: lambda text: _contract_id(text.replace("-", "")[:14]),
    CURRENCY: lambda text: sorted(identifiers.CURRENCIES)[sum(text.encode()) % len(identifiers.CURRENCIES)],
}
"""Texts of which the pattern does not say everything: each is made right."""


def _contract_id(first: str) -> str:
    return first + identifiers.contract_check(first)


def _text(info: inspect.StrType) -> st.SearchStrategy[str]:
    if info.pattern is None:
        high = 40 if info.max_length is None else min(info.max_length, 40)
        return st.text(st.characters(exclude_categories=("Cs",)), min_size=info.min_length or 0, max_size=high)
    made = st.from_regex(_END.sub("$", info.pattern), fullmatch=True).filter(str.isascii)
    if info.pattern in _CHECKED:
        made = made.map(_CHECKED[info.pattern])
    return made if info.max_length is None else made.filter(lambda text: len(text) <= (info.max_length or 0))


def texts(info: inspect.Type) -> list[inspect.StrType]:
    """Every string type with a pattern anywhere in a schema."""
    match info:
        case inspect.Metadata(type=inner):
            return texts(inner)
        case inspect.StrType(pattern=pattern):
            return [info] if pattern is not None else []
        case inspect.VarTupleType(item_type=item):
            return texts(item)
        case inspect.UnionType(types=types):
            return [found for one in types for found in texts(one)]
        case inspect.StructType(fields=fields):
            return [found for field in fields for found in texts(field.type)]
    return []


def whole(record: Record, event: Any) -> Record:
    """The record that a fully revealed event says."""
    return msgspec.convert(event, type(record))
