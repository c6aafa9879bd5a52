"""The published vectors of RFC 8785: those of our grammar agree byte for byte, the others are refused."""

from pathlib import Path

import msgspec
import pytest

from ledger.records import canonical
from ledger.records.errors import NotCanonical
from tests.support import vectors

INSIDE = ("arrays",)
"""Vectors with integers and ASCII member names only."""
OUTSIDE = ("french", "structures", "unicode", "values", "weird")


def _read(folder: Path, part: str, name: str) -> bytes:
    return (folder / part / f"{name}.json").read_bytes().rstrip(b"\n")


@pytest.mark.parametrize("name", INSIDE)
def test_a_vector_of_our_grammar_is_encoded_as_published(name: str) -> None:
    folder = vectors.folder("jcs")
    wanted = _read(folder, "output", name)
    assert canonical.encode(msgspec.json.decode(_read(folder, "input", name))) == wanted
    assert canonical.decode(wanted) == msgspec.json.decode(wanted)
    assert wanted == bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text(encoding="ascii"))


@pytest.mark.parametrize("name", ["french", "values", "weird"])
def test_a_canonical_vector_outside_our_grammar_is_refused(name: str) -> None:
    """Non-ASCII member names sort by UTF-16 units in JCS, and floats need ECMAScript: both are left out."""
    with pytest.raises(NotCanonical):
        canonical.decode(_read(vectors.folder("jcs"), "output", name))


@pytest.mark.parametrize("name", ["structures", "unicode"])
def test_a_canonical_vector_whose_output_lies_in_our_grammar_is_read(name: str) -> None:
    wanted = _read(vectors.folder("jcs"), "output", name)
    assert canonical.encode(canonical.decode(wanted)) == wanted


@pytest.mark.parametrize("name", [*INSIDE, *OUTSIDE])
def test_no_vector_passes_before_it_is_made_canonical(name: str) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(_read(vectors.folder("jcs"), "input", name))


def test_every_vector_is_looked_at() -> None:
    found = {path.stem for path in (vectors.folder("jcs") / "input").glob("*.json")}
    assert found == {*INSIDE, *OUTSIDE}
