"""The files of an export, each a pure function of its rows: the verifier makes them again and compares."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ledger.privacy.exports import table
from ledger.privacy.exports.manifest import Generalised
from ledger.privacy.exports.rows import FIRST_COLUMNS
from ledger.records import canonical

PROVABLE_README: Final = """\
This export is pseudonymised. Pseudonymised data is personal data: use it for the purpose in manifest.json only, keep
it no longer than delete_at_ms says, and do not try to find out who is behind a pseudonym.

manifest.json   what this is, for whom and for what; digests of all other files
manifest.jws    signature over manifest.json (JWS, RFC 7515)
records.jsonl   one row a line, exact
records.csv     the same as a table (RFC 4180); text that a spreadsheet could run is behind an apostrophe
proofs.jsonl    for every row the entry, what is disclosed of it, and its inclusion proof (RFC 6962)
papers.jsonl    access only: documents that are kept of you (base64), by their SHA-256
about.json      access only: what is kept, for how long, who received it, and your rights
schema.json     what the members of a row are
"""

UNLINKABLE_README: Final = """\
The rows of this export are generalised: at least k distinct persons are behind every group of equal rows, where k is
in manifest.json. Do not join it with other data to find out who they are.

manifest.json   what this is, for whom and for what; digests of all other files
manifest.jws    signature over manifest.json (JWS, RFC 7515)
records.jsonl   one row a line
records.csv     the same as a table (RFC 4180); text that a spreadsheet could run is behind an apostrophe
schema.json     what the members of a row are
"""

_ROW_SCHEMA: Final[Mapping[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A row of records.jsonl",
    "type": "object",
    "additionalProperties": False,
    "required": ["index", "recorded_at_ms", "type", "stream", "party", "subject", "record"],
    "properties": {
        "index": {"type": "integer", "description": "index of the entry in the log", "x-personal-data": False},
        "recorded_at_ms": {"type": "integer", "description": "Unix milliseconds, UTC", "x-personal-data": False},
        "type": {"type": "string", "description": "record type", "x-personal-data": False},
        "stream": {"type": "string", "description": "stream of the entry", "x-personal-data": False},
        "party": {"type": "string", "description": "who made the statement", "x-personal-data": False},
        "subject": {
            "type": ["string", "null"],
            "description": "pseudonym of the person, for this recipient and purpose",
            "x-personal-data": {"kind": "direct", "category": "identity"},
        },
        "record": {
            "type": "object",
            "description": "the record with its disclosed fields; _sd are digests of what is not disclosed",
            "x-personal-data": {"kind": "quasi"},
        },
    },
}


def provable_schema() -> bytes:
    """schema.json of provable rows."""
    return _pretty(_ROW_SCHEMA)


def provable_columns(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns of records.csv of provable rows; raises `ExportTooLarge`."""
    return table.columns((table.flatten(row) for row in rows), FIRST_COLUMNS)


def provable_table(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """records.csv of provable rows with these columns, a line at a time."""
    return table.lines(names, (table.flatten(row) for row in rows))


PAPER_PART_BYTES: Final = 2_000_000


def paper_lines(papers: Iterable[bytes]) -> Iterator[bytes]:
    """papers.jsonl: the documents that the vault keeps of the subject, in parts of `PAPER_PART_BYTES`, a line each."""
    for data in papers:
        sha256 = hashlib.sha256(data).hexdigest()
        starts = range(0, max(len(data), 1), PAPER_PART_BYTES)
        for number, at in enumerate(starts):
            part = base64.b64encode(data[at : at + PAPER_PART_BYTES]).decode()
            yield line({"sha256": sha256, "part": number, "parts": len(starts), "data": part})


def unlinkable_schema(generalised: Generalised) -> bytes:
    """schema.json of generalised rows."""
    return _pretty(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "A row of records.jsonl",
            "type": "object",
            "additionalProperties": False,
            "required": sorted(generalised.columns),
            "properties": {
                name: {"description": f"generalised, level {level}", "x-personal-data": False}
                for name, level in zip(generalised.columns, generalised.levels, strict=True)
            },
        }
    )


def unlinkable_table(rows: Iterable[Mapping[str, Any]], generalised: Generalised) -> Iterator[bytes]:
    """records.csv of generalised rows, a line at a time."""
    return table.lines(generalised.columns, rows)


def line(value: Any) -> bytes:
    """One line of a file of lines."""
    return canonical.encode(value) + b"\n"


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(canonical.encode(value), indent=2) + b"\n"
