"""PyPI rfc8785 agrees with our canonical bytes on every record and on whole statements and entries."""

import msgspec
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.records import canonical, jws, record, registry
from ledger.records.record import Record
from tests.support import record_values
from tests.support.rulebook import Judge

KINDS = registry.kinds()


@pytest.mark.parametrize("kind", KINDS, ids=[kind.TYPE for kind in KINDS])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_every_record_has_the_bytes_that_a_stranger_gives_it(kind: type[Record], data: st.DataObject) -> None:
    made = data.draw(record_values.of(kind))
    event = record.conceal(made, lambda: b"s" * 32).event
    assert canonical.encode(event) == rfc8785.dumps(event)


def test_statements_and_entries_of_a_whole_day_have_a_stranger_s_bytes() -> None:
    judge = Judge()
    judge.ended()
    for fact in judge.facts:
        parsed = jws.parse(fact.statement.raw)
        assert rfc8785.dumps(canonical.decode(parsed.payload)) == parsed.payload
        assert rfc8785.dumps(parsed.header) == jws.decode_base64url(fact.statement.raw.partition(".")[0])
        assert rfc8785.dumps(msgspec.to_builtins(fact.entry)) == canonical.encode(fact.entry)
