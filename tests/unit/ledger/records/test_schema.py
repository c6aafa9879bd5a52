"""Every record's schema: marks on every field, bounds, nothing unknown, and refusals that repeat no value."""

import re
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.records import canonical, marks, record, registry
from ledger.records.errors import PersonalInClear, RecordMalformed, RecordTypeUnknown
from ledger.records.marks import Category, personal, public
from ledger.records.opt import OptDecided
from ledger.records.record import Part, Record, Value
from ledger.records.requests import RequestIssued
from tests.support import record_values

CANARY = "canary-4711"
KINDS = registry.kinds()
NAMES = [f"{kind.TYPE}/{kind.VERSION}" for kind in KINDS]


def _event(kind: type[Record], data: st.DataObject) -> dict[str, Any]:
    made = data.draw(record_values.of(kind))
    event = record.conceal(made, _Salts()).event
    decoded = canonical.decode(canonical.encode(event))
    assert isinstance(decoded, dict)
    return decoded


class _Salts:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return self.count.to_bytes(32, "big")


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_field_of_every_record_is_marked_and_says_why(kind: type[Record]) -> None:
    record.require_marked(kind)
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        if field.name == "sd":
            continue
        mark = record.mark_of(kind, field.name)
        assert isinstance(mark, marks.Public | marks.Personal), field.name
        if isinstance(mark, marks.Public):
            assert len(mark.why) > 5
        else:
            assert re.fullmatch(r"P[0-9]+[YMD]", mark.retention)


def _mark_by_msgspec(info: msgspec.inspect.Type) -> object:
    """The mark as msgspec reads the annotation."""
    if isinstance(info, msgspec.inspect.UnionType):
        return next((found for one in info.types if (found := _mark_by_msgspec(one)) is not None), None)
    if not isinstance(info, msgspec.inspect.Metadata):
        return None
    return info.extra["mark"] if info.extra and "mark" in info.extra else _mark_by_msgspec(info.type)


def _parts_by_msgspec(info: msgspec.inspect.Type) -> list[type[Part]]:
    """The parts in it as msgspec reads the annotation."""
    match info:
        case msgspec.inspect.Metadata(type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            return _parts_by_msgspec(inner)
        case msgspec.inspect.UnionType(types=members):
            return [part for one in members for part in _parts_by_msgspec(one)]
        case msgspec.inspect.StructType(cls=cls) if issubclass(cls, Part):
            return [cls]
    return []


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_marks_and_parts_are_found_where_msgspec_finds_them(kind: type[Record]) -> None:
    waiting: list[type[Part]] = [kind]
    personal_found: dict[str, object] = {}
    while waiting:
        part = waiting.pop()
        for field in msgspec.inspect.type_info(part).fields:  # type: ignore[attr-defined]
            mark = record.mark_of(part, field.name)
            assert mark == _mark_by_msgspec(field.type), (part, field.name)
            if isinstance(mark, marks.Personal):
                personal_found[field.encode_name] = mark
            waiting += _parts_by_msgspec(field.type)
    assert record.personal_marks(kind) == personal_found


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_record_type_has_one_name_version_and_stream(kind: type[Record]) -> None:
    assert registry.kind(kind.TYPE, kind.VERSION) is kind
    assert kind.STREAM == "*" or kind.STREAM.islower()
    assert kind.__doc__


def test_an_unknown_type_or_version_is_refused() -> None:
    for name, version in (("fsr.issued", 2), (CANARY, 1)):
        with pytest.raises(RecordTypeUnknown) as raised:
            registry.kind(name, version)
        assert CANARY not in raised.value.message()


def test_an_unmarked_field_stops_the_registration() -> None:
    class Unmarked(Record, frozen=True, kw_only=True):
        TYPE = "test.unmarked"
        STREAM = "test"
        what: int

    with pytest.raises(RecordMalformed, match="neither public nor personal"):
        record.require_marked(Unmarked)


def test_an_unmarked_field_inside_a_part_stops_it_too() -> None:
    class Inner(Part, frozen=True, kw_only=True):
        what: int

    class Outer(Record, frozen=True, kw_only=True):
        TYPE = "test.outer"
        STREAM = "test"
        parts: Annotated[tuple[Inner, ...], public("a list of parts")] | None = None

    with pytest.raises(RecordMalformed, match="Inner"):
        record.require_marked(Outer)


def test_a_version_whose_field_became_personal_is_taken_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A36: what was written in clear stays as it is; the next statement commits to it with a salt, or is refused."""

    class Inner(Part, frozen=True, kw_only=True):
        place: Annotated[str, public("once thought harmless")]

    class First(Record, frozen=True, kw_only=True):
        TYPE = "test.moved"
        STREAM = "test"
        parts: Annotated[tuple[Inner, ...], public("a list of parts")] = ()

    class Second(Record, frozen=True, kw_only=True):
        TYPE = "test.moved"
        VERSION = 2
        STREAM = "test"
        place: Annotated[str, personal(Category.LOCATION, "quasi")] | msgspec.UnsetType = msgspec.UNSET

    monkeypatch.setattr(registry, "_kinds", {("test.moved", 1): First, ("test.moved", 2): Second})
    assert isinstance(record.read({"parts": [{"place": "E1"}]}, registry.kind("test.moved", 1)), First)
    registry.require_not_overtaken(Second)
    with pytest.raises(PersonalInClear) as refused:
        registry.require_not_overtaken(First)
    assert (refused.value.expected, refused.value.where["member"]) == ("version 2 or later", "place")


def test_a_personal_field_must_be_able_to_be_absent() -> None:
    class Always(Record, frozen=True, kw_only=True):
        TYPE = "test.always"
        STREAM = "test"
        who: Annotated[str, personal(Category.IDENTITY, "direct")]

    with pytest.raises(RecordMalformed, match="UNSET"):
        record.require_marked(Always)


def test_a_personal_field_may_hold_values_but_no_parts() -> None:
    class Plain(Value, frozen=True, kw_only=True):
        what: int

    class Marked(Part, frozen=True, kw_only=True):
        what: Annotated[int, public("a number")]

    class Holds(Record, frozen=True, kw_only=True):
        TYPE = "test.holds"
        STREAM = "test"
        values: Annotated[tuple[Plain, ...], personal(Category.TIME, "quasi")] | msgspec.UnsetType = msgspec.UNSET

    class Nests(Record, frozen=True, kw_only=True):
        TYPE = "test.nests"
        STREAM = "test"
        parts: Annotated[tuple[Marked, ...], personal(Category.TIME, "quasi")] | msgspec.UnsetType = msgspec.UNSET

    record.require_marked(Holds)
    with pytest.raises(RecordMalformed, match="may not hold parts"):
        record.require_marked(Nests)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_conceal_and_reveal_give_the_record_back_and_nothing_personal_stays(
    kind: type[Record], data: st.DataObject
) -> None:
    made = data.draw(record_values.of(kind))
    concealed = record.conceal(made, _Salts())
    decoded = canonical.decode(canonical.encode(concealed.event))
    public_part = record.read(decoded, kind)
    for _, part in record.parts(public_part):
        for field in record.personal_fields(type(part)):
            assert getattr(part, field.name) is msgspec.UNSET
    assert record_values.whole(made, record.reveal(decoded, concealed.disclosures)) == _without_digests(made, decoded)
    found = list(record.digests(decoded))
    assert len(found) == len(set(found)) >= len(concealed.disclosures)


def _without_digests(made: Record, event: Any) -> Record:
    """The record as it was, with what decoys leave in `_sd` after everything real was opened."""
    opened = record.reveal(event, record.conceal(made, _Salts()).disclosures)
    left = list(record.digests(opened))
    disclosed = {one.digest for one in record.conceal(made, _Salts()).disclosures}
    assert disclosed.isdisjoint(left)
    return record_values.whole(made, opened)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_an_unknown_member_is_refused_without_repeating_it(kind: type[Record], data: st.DataObject) -> None:
    event = _event(kind, data)
    with pytest.raises(RecordMalformed) as raised:
        record.read({**event, CANARY: CANARY}, kind)
    assert CANARY not in raised.value.message()
    assert "unknown field" in raised.value.message()


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_a_member_of_the_wrong_type_is_refused_with_its_place_and_without_its_value(
    kind: type[Record], data: st.DataObject
) -> None:
    event = _event(kind, data)
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    for name in required:
        with pytest.raises(RecordMalformed) as raised:
            record.read({**event, name: {CANARY: [CANARY]}}, kind)
        assert CANARY not in raised.value.message()
        assert f"$.{name}" in raised.value.message()
        with pytest.raises(RecordMalformed):
            record.read({key: value for key, value in event.items() if key != name}, kind)


def _personal() -> list[tuple[type[Record], str]]:
    return [(kind, field.encode_name) for kind in KINDS for field in record.personal_fields(kind)]


@pytest.mark.parametrize(("kind", "name"), _personal(), ids=lambda value: getattr(value, "TYPE", value))
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_personal_data_in_clear_is_refused(kind: type[Record], name: str, data: st.DataObject) -> None:
    made = data.draw(record_values.of(kind))
    clear = msgspec.to_builtins(getattr(made, name))
    event = record.conceal(made, _Salts()).event
    with pytest.raises(PersonalInClear) as raised:
        record.read({**event, name: clear}, kind)
    assert raised.value.where["place"] == f"$.{name}"


def test_personal_data_in_clear_inside_a_part_is_refused_with_its_place() -> None:
    from tests.support.rulebook import check, pids

    event = record.conceal(check(names=pids(2), now_ms=0), _Salts()).event
    event["subjects"][1]["evu"] = "driver"
    with pytest.raises(PersonalInClear) as raised:
        record.read(event, registry.kind("check.recorded", 1))
    assert raised.value.where["place"] == "$.subjects[1].evu"
    assert "driver" not in raised.value.message()


def _bounds() -> list[tuple[type[Record], str, Any]]:
    """For each public number and text of each record: a value just outside its bounds."""
    found = []
    for kind in KINDS:
        for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            info = field.type
            while isinstance(info, msgspec.inspect.Metadata):
                info = info.type
            if isinstance(info, msgspec.inspect.IntType):
                found += [(kind, field.encode_name, bad) for bad in _outside(info)]
            elif isinstance(info, msgspec.inspect.StrType):
                found.append((kind, field.encode_name, CANARY + " \x00" * 20_000))
    return found


def _outside(info: msgspec.inspect.IntType) -> list[int]:
    assert info.ge is not None, "a number without a lower bound"
    assert info.le is not None, "a number without an upper bound"
    return [info.ge - 1, info.le + 1]


@pytest.mark.parametrize(("kind", "name", "bad"), _bounds(), ids=lambda value: getattr(value, "TYPE", str(value)[:24]))
def test_a_value_out_of_bounds_is_refused_with_its_place(kind: type[Record], name: str, bad: Any) -> None:
    with pytest.raises(RecordMalformed) as raised:
        canonical.convert({name: bad}, kind, kind.TYPE)
    assert f"$.{name}" in raised.value.message() or "missing required" in raised.value.message()
    assert CANARY not in raised.value.message()


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_no_text_with_a_pattern_may_end_in_a_line_break(kind: type[Record]) -> None:
    for info in record_values.texts(msgspec.inspect.type_info(kind)):
        assert info.pattern is not None
        assert info.pattern.startswith("^")
        assert info.pattern.endswith("$(?!\\n)"), info.pattern


def test_an_id_that_ends_in_a_line_break_is_refused() -> None:
    event = {"fsr_id": "fsr-1\n", "reason": "SAFETY"}
    with pytest.raises(RecordMalformed):
        record.read(event, registry.kind("fsr.cancelled", 1))
    assert record.read({**event, "fsr_id": "fsr-1"}, registry.kind("fsr.cancelled", 1))


@pytest.mark.parametrize("text", [CANARY, f"x - at `$.{CANARY}`", f"' - at `$.{CANARY}", f"a - at {CANARY}"])
def test_an_enumeration_s_refusal_repeats_nothing_even_of_a_text_that_looks_like_a_place(text: str) -> None:
    for event, place in (({"reason": text}, "$.reason"), ({text: 1}, "unknown field")):
        with pytest.raises(RecordMalformed) as raised:
            canonical.convert({"fsr_id": "fsr-1", **event}, registry.kind("fsr.cancelled", 1), "it")
        assert CANARY not in raised.value.message()
        assert place in raised.value.message()
    with pytest.raises(RecordMalformed) as raised:
        canonical.convert({"class": text}, _params(), "it")
    assert CANARY not in raised.value.message()


def _params() -> Any:
    from ledger.records.services import Params

    return Params


def test_an_opt_is_coarse_and_a_request_is_not() -> None:
    assert OptDecided.COARSE
    assert not RequestIssued.COARSE
