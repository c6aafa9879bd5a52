"""An entry's bytes are made in two parts, at the door and at its place; together they are its canonical form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records import canonical
from ledger.records import entry as entries
from ledger.records.entry import Entry, Submitter
from ledger.records.errors import EntryMalformed

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.integers(0, canonical.MAX_INT)
SUBMITTER = Submitter(cert="c" * 64, party="NL-FO", role="FO")


@given(
    st.builds(
        Entry,
        log=texts,
        pol=numbers,
        prev=st.just("ab" * 32),
        rec=numbers,
        seq=numbers,
        stmt=texts,
        stream=texts,
        sub=st.builds(Submitter, cert=texts, party=texts, role=texts),
        type=texts,
        v=numbers,
    )
)
def test_the_parts_joined_are_the_canonical_bytes_of_the_entry(made: Entry) -> None:
    rest = entries.rest(stmt=made.stmt, stream=made.stream, sub=made.sub, type=made.type, v=made.v)
    data = entries.joined(entries.beginning(made.log, made.pol), made.prev, made.rec, made.seq, rest)
    assert data == entries.encode(made)


@pytest.mark.parametrize("over", [0, 1])
def test_the_parts_joined_are_refused_where_the_whole_entry_would_be(over: int) -> None:
    start = entries.beginning("log.example", 0)
    without = len(entries.joined(start, entries.NO_PREVIOUS, 1, 1, _rest("")))
    rest = _rest("x" * (entries.MAX_ENTRY_BYTES - without + over))
    if over:
        with pytest.raises(EntryMalformed, match="too large"):
            entries.joined(start, entries.NO_PREVIOUS, 1, 1, rest)
    else:
        assert len(entries.joined(start, entries.NO_PREVIOUS, 1, 1, rest)) == entries.MAX_ENTRY_BYTES


def _rest(stmt: str) -> bytes:
    return entries.rest(stmt=stmt, stream="fsr/one", sub=SUBMITTER, type="fsr.issued", v=1)
