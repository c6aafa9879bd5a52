"""One form of bytes for one meaning; everything else is refused and nothing of it repeated."""

import pytest

from ledger.records import canonical
from ledger.records.canonical import MAX_DEPTH, MAX_INT
from ledger.records.errors import NotCanonical

CANARY = b"canary-4711"


@pytest.mark.parametrize(
    "data",
    [
        b"1.0",
        b"1e3",
        b"-0",
        b"1.5",
        b"01",
        b"NaN",
        b"Infinity",
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b' {"a":1}',
        b'{"a":1}\n',
        b'"\\u0041"',
        b'"\\/"',
        b'"\\u001F"',
        b'{"caf\xc3\xa9":1}',
        b'"\xff"',
        b'"\\ud800"',
        b"\xef\xbb\xbf1",
        b"",
        b"{",
        b"'a'",
        b"[1,]",
        b"1 2",
        b"[" * 100_000,
    ],
)
def test_other_bytes_than_the_canonical_ones_are_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(data)


@pytest.mark.parametrize("value", [MAX_INT, -MAX_INT])
def test_integers_end_where_a_double_stops_being_exact(value: int) -> None:
    assert canonical.decode(str(value).encode()) == value
    beyond = value + (1 if value > 0 else -1)
    for bad in (beyond, beyond * 2**64, beyond * 10**400):
        with pytest.raises(NotCanonical):
            canonical.decode(str(bad).encode())


def test_depth_ends_at_its_limit() -> None:
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"1" + b"]" * depth

    assert canonical.decode(nested(MAX_DEPTH))
    with pytest.raises(NotCanonical, match="deep"):
        canonical.decode(nested(MAX_DEPTH + 1))


def test_a_refusal_shows_where_but_not_what() -> None:
    data = b'{"x":"' + CANARY + b'", "y":1}'
    with pytest.raises(NotCanonical) as raised:
        canonical.decode(data)
    assert "canary" not in raised.value.message()
    assert raised.value.where["offset"] == data.index(b" ")
    assert (raised.value.expected, raised.value.found) == ("'\"'", "octet 0x20")
    with pytest.raises(NotCanonical) as raised:
        canonical.decode(b'"' + CANARY)
    assert "canary" not in raised.value.message()


def test_what_is_encoded_is_read_back() -> None:
    value = {"b": [None, True, -1, 'ä\u2028\U0001f600\n\\"'], "a": {"_": ""}}
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert data.startswith(b'{"a":{"_":""},"b":[null,true,-1,')
