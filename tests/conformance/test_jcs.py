"""The published vectors of RFC 8785: those of our grammar agree byte for byte, the others are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.records import canonical
from ledger.records.errors import NotCanonical
from tests.support import vectors

LARGEST = 2**53 - 1


def _inside(value: Any) -> bool:
    """Whether our grammar has it: whole numbers that every reader has exactly, and ASCII member names."""
    if isinstance(value, dict):
        return all(name.isascii() and _inside(member) for name, member in value.items())
    if isinstance(value, list):
        return all(_inside(element) for element in value)
    return not isinstance(value, float) and (not isinstance(value, int) or abs(value) <= LARGEST)


def _published() -> list[tuple[str, bytes, bytes]]:
    """Every vector: its name, what is written and its canonical form."""
    inputs = [path for path in vectors.files("jcs", "*.json") if path.parent.name == "input"]
    return [(path.stem, _read(path), _read(path.parents[1] / "output" / path.name)) for path in inputs]


def _read(path: Path) -> bytes:
    return path.read_bytes().rstrip(b"\n")


def test_every_vector_of_our_grammar_is_encoded_as_published(ran: Callable[[str, int], None]) -> None:
    found = _published()
    ran("jcs", len(found))
    inside = 0
    for name, written, wanted in found:
        value = msgspec.json.decode(written)
        if _inside(value):
            assert canonical.encode(value) == wanted, name
            inside += 1
        elif _inside(msgspec.json.decode(wanted)):  # such as 56.0, which is 56
            assert canonical.encode(canonical.decode(wanted)) == wanted, name
            inside += 1
    assert inside


def test_every_vector_outside_our_grammar_is_refused() -> None:
    """Non-ASCII member names sort by UTF-16 units in JCS, and floats need ECMAScript: both are left out."""
    for _name, _written, wanted in _published():
        if not _inside(msgspec.json.decode(wanted)):
            with pytest.raises(NotCanonical):
                canonical.decode(wanted)


def test_no_vector_passes_before_it_is_made_canonical() -> None:
    for _name, written, wanted in _published():
        if written != wanted:
            with pytest.raises(NotCanonical):
                canonical.decode(written)


def test_the_published_forms_are_those_that_are_published_in_hexadecimal() -> None:
    for path in (path for path in vectors.files("jcs", "*.txt") if path.parent.name == "outhex"):
        assert bytes.fromhex(path.read_text(encoding="ascii")) == _read(
            path.parents[1] / "output" / f"{path.stem}.json"
        )
