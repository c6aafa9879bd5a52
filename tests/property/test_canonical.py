"""On the restricted grammar, msgspec's sorted encoder is RFC 8785, whatever the value."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.records import canonical, disclosure
from ledger.records.errors import NotCanonical

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
NAMES = st.text(st.characters(max_codepoint=0x7F))
SCALARS = st.none() | st.booleans() | st.integers(-canonical.MAX_INT, canonical.MAX_INT) | TEXT
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(VALUES)
def test_our_bytes_are_those_of_an_independent_library(value: Any) -> None:
    assert canonical.encode(value) == rfc8785.dumps(value)


@given(VALUES)
def test_what_is_encoded_is_canonical_and_reads_back(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value


@given(VALUES, st.data())
def test_no_other_bytes_mean_the_same(value: Any, data: st.DataObject) -> None:
    """White space put in anywhere outside a text is refused; inside one it means another value."""
    good = canonical.encode(value)
    place = data.draw(st.integers(0, len(good)))
    other = good[:place] + b" " + good[place:]
    try:
        found = canonical.decode(other)
    except NotCanonical:
        return
    assert found != value


@given(st.binary(max_size=64))
def test_any_bytes_are_either_refused_or_their_own_canonical_form(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except NotCanonical:
        return
    assert canonical.encode(value) == data == rfc8785.dumps(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_with_a_fraction_or_an_exponent_passes(value: float) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(repr(value).encode())


@given(st.binary(min_size=16, max_size=48), NAMES.filter(lambda name: name not in {"", "_sd", "..."}), VALUES)
def test_a_disclosure_reads_back_byte_for_byte(salt: bytes, name: str, value: Any) -> None:
    made = disclosure.make(salt, name, value)
    assert disclosure.parse(made.text) == made
