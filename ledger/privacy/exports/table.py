"""Rows as a table that a spreadsheet opens without running it: RFC 4180, every field quoted, formulas defused."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from ledger.privacy.errors import ExportTooLarge
from ledger.records import canonical

MAX_TABLE_COLUMNS: Final = 512
FORMULA_STARTS: Final = frozenset("=+-@|%")


def flatten(value: Any, place: str = "") -> dict[str, Any]:
    """Members by dotted path; lists as their JSON; digests of what is not disclosed are left out."""
    if not isinstance(value, dict):
        return {place: canonical.encode(value).decode() if isinstance(value, list) else value}
    out: dict[str, Any] = {}
    for name, member in value.items():
        if name != "_sd":
            out.update(flatten(member, f"{place}.{name}" if place else name))
    return out


def columns(rows: Iterable[Iterable[str]], first: Sequence[str]) -> tuple[str, ...]:
    """The columns that come `first`, then all others of the rows in order; raises `ExportTooLarge`."""
    found: set[str] = set()
    for row in rows:
        found.update(row)
        if len(found) > MAX_TABLE_COLUMNS:
            raise ExportTooLarge("too many columns", expected=f"at most {MAX_TABLE_COLUMNS}", found=len(found))
    names = (*first, *sorted(found - set(first)))
    if len(names) > MAX_TABLE_COLUMNS:
        raise ExportTooLarge("too many columns", expected=f"at most {MAX_TABLE_COLUMNS}", found=len(names))
    return names


def lines(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The CSV file, a line at a time: a line of names, a line a row, CRLF, UTF-8 without a byte-order mark."""
    yield f"{','.join(_quoted(name) for name in names)}\r\n".encode()
    for row in rows:
        yield f"{','.join([_field(row.get(name)) for name in names])}\r\n".encode()


def render(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The CSV file, whole."""
    return b"".join(lines(names, rows))


def _field(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    if isinstance(value, int):
        # A negative number is a number: only text can be a formula.
        return f'"{value}"'
    return _quoted(str(value))


def _quoted(text: str) -> str:
    return '"' + defused(text).replace('"', '""') + '"'


def defused(text: str) -> str:
    """`text` without control characters, behind an apostrophe if a spreadsheet could take it for a formula.

    What counts is the first visible character, after compatibility normalisation: ＝ is =. The exact text is in
    records.jsonl.
    """
    if text.isascii() and text.isprintable():
        # Nearly everything: nothing to replace, and the first visible character is the first but blanks.
        return f"'{text}" if text.lstrip()[:1] in FORMULA_STARTS else text
    plain = "".join(" " if unicodedata.category(one) in {"Cc", "Zl", "Zp"} else one for one in text)
    seen = "".join(one for one in unicodedata.normalize("NFKC", plain) if unicodedata.category(one) != "Cf").lstrip()
    was_control = bool(text) and unicodedata.category(text[0]) == "Cc"
    return f"'{plain}" if was_control or (seen[:1] in FORMULA_STARTS and seen) else plain
