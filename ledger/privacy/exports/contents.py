"""The files of an export, each a pure function of its rows: the verifier makes them again and compares."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ledger.privacy.exports import manifest, table
from ledger.privacy.exports.manifest import Generalised
from ledger.privacy.exports.rows import FIRST_COLUMNS, ProofLine
from ledger.records import canonical

_PROVABLE_README: Final = """\
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

_UNLINKABLE_README: Final = """\
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


def provable_files(rows: Sequence[Mapping[str, Any]], proofs: Sequence[ProofLine]) -> dict[str, bytes]:
    """The files of a provable export, manifest and signature left out."""
    return {
        manifest.RECORDS: _lines(rows),
        manifest.TABLE: provable_table(rows),
        manifest.PROOFS: _lines(proofs),
        manifest.SCHEMA: _pretty(_ROW_SCHEMA),
        manifest.README: _PROVABLE_README.encode(),
    }


def provable_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """records.csv of provable rows."""
    flat = [table.flatten(row) for row in rows]
    return table.render(table.columns(flat, FIRST_COLUMNS), flat)


PAPER_PART_BYTES: Final = 2_000_000


def papers_file(papers: Iterable[bytes]) -> bytes:
    """papers.jsonl: the documents that the vault keeps of the subject, in parts of `PAPER_PART_BYTES`, by digest."""
    lines = []
    for data in sorted(papers, key=lambda one: hashlib.sha256(one).digest()):
        sha256 = hashlib.sha256(data).hexdigest()
        starts = range(0, max(len(data), 1), PAPER_PART_BYTES)
        for number, at in enumerate(starts):
            part = base64.b64encode(data[at : at + PAPER_PART_BYTES]).decode()
            lines.append({"sha256": sha256, "part": number, "parts": len(starts), "data": part})
    return _lines(lines)


def unlinkable_files(rows: Sequence[Mapping[str, Any]], generalised: Generalised) -> dict[str, bytes]:
    """The files of an unlinkable export, manifest and signature left out."""
    schema = {
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
    return {
        manifest.RECORDS: _lines(rows),
        manifest.TABLE: unlinkable_table(rows, generalised),
        manifest.SCHEMA: _pretty(schema),
        manifest.README: _UNLINKABLE_README.encode(),
    }


def unlinkable_table(rows: Sequence[Mapping[str, Any]], generalised: Generalised) -> bytes:
    """records.csv of generalised rows."""
    return table.render(generalised.columns, rows)


def _lines(values: Sequence[Any]) -> bytes:
    return b"".join(canonical.encode(value) + b"\n" for value in values)


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(canonical.encode(value), indent=2) + b"\n"
