"""The base of every record, and the split of a record into what the log may say and what only the vault may hold."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET

from ledger.records import canonical, disclosure, marks
from ledger.records.disclosure import Disclosure
from ledger.records.errors import DisclosureForeign, PersonalInClear, RecordMalformed

Digest = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
MAX_DIGESTS = 256


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A plain value inside a field; the field's mark covers all of it."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a record whose own fields are marked one by one; it may hide some of them."""

    sd: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=MAX_DIGESTS)] = msgspec.field(name="_sd", default=())


class Record(Part, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one actor states. A version is never edited, only followed by another."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1
    STREAM: ClassVar[str]
    """The first part of the name of the stream in which this record lives."""
    COARSE: ClassVar[bool] = False
    """True where the moment of recording is personal: the entry then carries a coarse time."""


class Concealed(msgspec.Struct, frozen=True):
    """A record split in two: `event` for the log, `disclosures` for the vault."""

    event: dict[str, Any]
    disclosures: tuple[Disclosure, ...]


def personal_fields(kind: type[Part]) -> Iterator[msgspec.structs.FieldInfo]:
    """The fields of `kind` that are marked personal."""
    for field in _members(kind):
        if isinstance(mark_of(kind, field.name), marks.Personal):
            yield field


def conceal(record: Record, new_salt: Callable[[], bytes]) -> Concealed:
    """Splits `record`: personal fields become salted digests, sorted and padded with decoys to a power of two."""
    found: list[Disclosure] = []
    return Concealed(_conceal(record, new_salt, found), tuple(found))


def _conceal(part: Part, new_salt: Callable[[], bytes], found: list[Disclosure]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    digests: list[str] = []
    for field in _members(type(part)):
        value = getattr(part, field.name)
        if field.name == "sd" or value is UNSET or (not field.required and value == field.default):
            continue
        if isinstance(mark_of(type(part), field.name), marks.Personal):
            made = disclosure.make(new_salt(), field.encode_name, msgspec.to_builtins(value))
            found.append(made)
            digests.append(made.digest)
        elif isinstance(value, Part):
            event[field.encode_name] = _conceal(value, new_salt, found)
        elif isinstance(value, tuple) and any(isinstance(item, Part) for item in value):
            event[field.encode_name] = [_conceal(item, new_salt, found) for item in value]
        else:
            event[field.encode_name] = msgspec.to_builtins(value)
    if digests:
        while len(digests) & (len(digests) - 1):
            digests.append(disclosure.digest(disclosure.make(new_salt(), "decoy", 0).text))
        event["_sd"] = sorted(digests)
    return event


def reveal(event: Any, disclosures: Iterable[Disclosure]) -> Any:
    """`event` with each disclosure put where its digest stands; raises `DisclosureForeign` for one that opens none."""
    by_digest: dict[str, Disclosure] = {}
    for opened in disclosures:
        if opened.digest in by_digest:
            raise DisclosureForeign("a digest is opened twice")
        by_digest[opened.digest] = opened
    used: set[str] = set()
    revealed = _reveal(event, by_digest, used)
    if len(used) != len(by_digest):
        raise DisclosureForeign("disclosures open no digest", expected=len(by_digest), found=len(used))
    return revealed


def _reveal(value: Any, by_digest: Mapping[str, Disclosure], used: set[str]) -> Any:
    if isinstance(value, list):
        return [_reveal(item, by_digest, used) for item in value]
    if not isinstance(value, dict):
        return value
    out = {name: _reveal(member, by_digest, used) for name, member in value.items() if name != "_sd"}
    closed = []
    for one in value.get("_sd", ()):
        opened = by_digest.get(one)
        if opened is None:
            closed.append(one)
            continue
        if one in used or opened.name in out:
            raise DisclosureForeign("a disclosure repeats a member or a digest")
        used.add(one)
        out[opened.name] = opened.value
    if closed:
        out["_sd"] = closed
    return out


def digests(event: Any) -> Iterator[str]:
    """Every digest anywhere in `event`, decoys included, in the order in which they stand."""
    if isinstance(event, list):
        for item in event:
            yield from digests(item)
    elif isinstance(event, dict):
        yield from event.get("_sd", ())
        for name, member in event.items():
            if name != "_sd":
                yield from digests(member)


def holders(event: Any, whole: Part, around: tuple[Part, ...] = ()) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """Each digest of `event`, and the part of the revealed record in which it stands, behind the parts around it."""
    chain = (*around, whole)
    for digest in event.get("_sd", ()):
        yield digest, chain
    for field in _members(type(whole)):
        value = getattr(whole, field.name)
        if isinstance(value, Part):
            yield from holders(event[field.encode_name], value, chain)
        elif isinstance(value, tuple):
            for at, item in enumerate(value):
                if isinstance(item, Part):
                    yield from holders(event[field.encode_name][at], item, chain)


def personal_places(part: Part) -> Iterator[tuple[Part, str]]:
    """Where the disclosures that `conceal` makes of `part` stand: the part and the member, in the same order."""
    for field in _members(type(part)):
        value = getattr(part, field.name)
        if isinstance(mark_of(type(part), field.name), marks.Personal):
            if value is not UNSET:
                yield part, field.encode_name
        elif isinstance(value, Part):
            yield from personal_places(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Part):
                    yield from personal_places(item)


@cache
def personal_marks(kind: type[Part]) -> Mapping[str, marks.Personal]:
    """The mark of every personal member of `kind` and of the parts inside it, by the member's name."""
    found: dict[str, marks.Personal] = {}
    for field in _members(kind):
        mark = mark_of(kind, field.name)
        if isinstance(mark, marks.Personal):
            found[field.encode_name] = mark
        for inner in _parts_in(_annotations(kind)[field.name]):
            found.update(personal_marks(inner))
    return MappingProxyType(found)


def public_members(kind: type[Part]) -> frozenset[str]:
    """The names of the members that stand in the log in clear, of `kind` and of the parts inside it."""
    found: set[str] = set()
    for field in _members(kind):
        if isinstance(mark_of(kind, field.name), marks.Public):
            found.add(field.encode_name)
        for inner in _parts_in(_annotations(kind)[field.name]):
            found |= public_members(inner)
    return frozenset(found)


def read(event: Any, kind: type[Record]) -> Record:
    """The record that the log holds; raises `PersonalInClear` if a personal field stands there in clear."""
    record = canonical.convert(event, kind, kind.TYPE)
    if not may_be_personal(kind):
        return record
    for place, part in parts(record):
        for field in personal_fields(type(part)):
            if getattr(part, field.name) is not UNSET:
                raise PersonalInClear(
                    "personal data may stand in the log as a salted digest only",
                    place=f"{place}.{field.encode_name}",
                )
    return record


@cache
def may_be_personal(kind: type[Record]) -> bool:
    """Whether a field of the kind, or of a part in it, is marked personal."""
    return bool(personal_marks(kind))


def parts(part: Part, place: str = "$") -> Iterator[tuple[str, Part]]:
    """`part` and all parts inside it, with their places."""
    yield place, part
    for field in _members(type(part)):
        value = getattr(part, field.name)
        if isinstance(value, Part):
            yield from parts(value, f"{place}.{field.encode_name}")
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Part):
                    yield from parts(item, f"{place}.{field.encode_name}[{index}]")


def require_marked(kind: type[Part]) -> None:
    """Raises `RecordMalformed` unless every field of `kind`, and of every part in it, is marked.

    A personal field must default to UNSET: the log never holds it. Called once for each registered type.
    """
    defaults = {field.name: field.default for field in _members(kind)}
    for name, annotation in _annotations(kind).items():
        if name == "sd":
            continue
        mark = marks.mark_of(annotation)
        if mark is None:
            raise RecordMalformed("a field is marked neither public nor personal", type=kind.__name__, field=name)
        if isinstance(mark, marks.Personal) and defaults[name] is not UNSET:
            raise RecordMalformed("a personal field must default to UNSET", type=kind.__name__, field=name)
        for inner in _parts_in(annotation):
            if isinstance(mark, marks.Personal):
                raise RecordMalformed("a personal field may not hold parts", type=kind.__name__, field=name)
            require_marked(inner)


def _parts_in(annotation: Any) -> Iterator[type[Part]]:
    """The parts that a field of this type may hold: one, a tuple of them, or either in a union."""
    origin = get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, Part):
            yield annotation
    elif origin is Annotated:
        yield from _parts_in(annotation.__origin__)
    elif origin is tuple or origin in marks.UNIONS:
        for member in get_args(annotation):
            yield from _parts_in(member)


_marks_of: dict[type, dict[str, marks.Public | marks.Personal | None]] = {}


@cache
def _members(kind: type[Part]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a class; taking a class apart anew for every statement is a third of the cost of reading one."""
    return msgspec.structs.fields(kind)


@cache
def _annotations(kind: type[Part]) -> dict[str, Any]:
    """What each field is annotated with. Asking msgspec or typing for the same takes twenty times as long."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        found.update(vars(base).get("__annotations__", {}))
    if any(isinstance(one, str) for one in found.values()):
        found = get_type_hints(kind, include_extras=True)
    return {name: found[name] for name in kind.__struct_fields__}


def mark_of(kind: type[Part], name: str) -> marks.Public | marks.Personal | None:
    """The mark of a field of `kind`; None for one that has none."""
    known = _marks_of.get(kind)
    if known is None:
        known = _marks_of[kind] = {field: marks.mark_of(one) for field, one in _annotations(kind).items()}
    return known[name]
