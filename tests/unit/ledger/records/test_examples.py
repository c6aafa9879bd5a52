"""The examples of the reference are what the schema takes, and show every member that must be said."""

import msgspec
import pytest
from msgspec import inspect

from ledger.records import canonical, marks, record, registry
from ledger.records.record import Record
from tests.support.record_examples import example


@pytest.mark.parametrize("kind", registry.kinds(), ids=lambda kind: kind.TYPE)
def test_an_example_is_taken_by_its_schema_and_shows_what_must_be_said(kind: type[Record]) -> None:
    said = msgspec.json.decode(example(kind))
    made = canonical.convert(said, kind, kind.TYPE)
    assert msgspec.json.format(msgspec.json.encode(made), indent=2) == example(kind)
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    personal = {one.encode_name for one in info.fields if isinstance(record.mark_of(kind, one.name), marks.Personal)}
    assert {one.encode_name for one in info.fields if one.required} | personal <= said.keys()
