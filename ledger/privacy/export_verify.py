"""An export, checked by its recipient: offline, with the exporter's key and the log's, and nothing else.

Nothing in it is believed because the exporter says so, save the pseudonyms: rows are made again from the entries,
entries are proven to be in the log, and both must be what the files say.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from ledger import plain_file
from ledger.privacy.errors import (
    ExportExpired,
    ExportFileMismatch,
    ExportMalformed,
    ExportRowInvalid,
    ExportRowMismatch,
    ExportSignatureInvalid,
    ExportTooLarge,
)
from ledger.privacy.exports import archive, contents, manifest
from ledger.privacy.exports.manifest import Manifest
from ledger.privacy.exports.rows import ProofLine, provable
from ledger.records import canonical, jws
from ledger.records.errors import NotCanonical, RecordMalformed, SignatureInvalid, StatementMalformed, StatementTooLarge
from ledger.records.privacy import Profile
from ledger.records.statement_fields import Hash
from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import ProofInvalid
from ledger.tlog.notekeys import Verifier

MAX_LINES: Final = 200_000
MAX_LINE_BYTES: Final = 4_194_304
MAX_TOTAL_BYTES: Final = 4 * 2**30

Files = Mapping[str, bytes]
T = TypeVar("T")


class _PaperPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of papers.jsonl."""

    sha256: Hash
    part: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    data: bytes


@dataclass(frozen=True, slots=True)
class VerifiedExport:
    """What the recipient may rely on."""

    manifest: Manifest
    manifest_sha256: str
    """What `DataDisclosed` in the log names."""
    rows: tuple[dict[str, Any], ...]
    checkpoint: Checkpoint | None
    """Where every row of a provable export is proven to be; None for an unlinkable one."""


def verify_export(
    source: Path | Files,
    *,
    signer_key: jws.PublicKey,
    vkeys: Sequence[Verifier] = (),
    origin: str | None = None,
    now_ms: int | None = None,
) -> VerifiedExport:
    """The export in an archive, a folder or a mapping of names to bytes, now known to be right.

    The manifest is signed by `signer_key`; every file is listed and as listed; every row of a provable export follows
    from an entry that is in the log `origin`, whose checkpoint one of `vkeys` signed. With `now_ms`, it has not
    expired. Raises `ExportMalformed`, `ExportTooLarge`, `ExportSignatureInvalid`, `ExportFileMismatch`,
    `ExportRowMismatch`, `ExportExpired`, and what the checkpoint's verification raises.
    """
    files = load(source) if isinstance(source, Path) else dict(source)
    for name in files:
        archive.require_name(name)
    signed, digest = _signed_manifest(files, signer_key)
    _require_files(files, signed)
    if now_ms is not None and now_ms > signed.delete_at_ms:
        raise ExportExpired("to be deleted by now", expected=f"before {signed.delete_at_ms}", found=now_ms)
    rows = [_object(line) for line in _lines(files[manifest.RECORDS], signed.rows)]
    if signed.profile is Profile.RESEARCH:
        _require_unlinkable(files, signed, rows)
        return VerifiedExport(signed, digest, tuple(rows), None)
    opened = _checkpoint(signed, vkeys, origin)
    _require_proven(files, rows, opened)
    if manifest.PAPERS in files:
        papers(files[manifest.PAPERS])
    return VerifiedExport(signed, digest, tuple(rows), opened)


def papers(data: bytes) -> dict[str, bytes]:
    """The documents of papers.jsonl by SHA-256; raises `ExportRowMismatch` where one is not what its digest says."""
    found: dict[str, bytes] = {}
    expected: dict[str, tuple[int, int]] = {}
    lines = data.split(b"\n")
    if lines.pop() or len(lines) > MAX_LINES:
        raise ExportMalformed("the papers are not lines", expected=f"at most {MAX_LINES}")
    for line in lines:
        part = _decoded(line, _PaperPart, "a part of a paper")
        if expected.get(part.sha256, (0, part.parts)) != (part.part, part.parts):
            raise ExportRowMismatch("the parts of a paper are not in order")
        expected[part.sha256] = (part.part + 1, part.parts)
        found[part.sha256] = found.get(part.sha256, b"") + part.data
    for sha256, paper in found.items():
        if expected[sha256][0] != expected[sha256][1] or hashlib.sha256(paper).hexdigest() != sha256:
            raise ExportRowMismatch("a paper is not what its digest says", expected=sha256)
    return found


def load(path: Path) -> dict[str, bytes]:
    """The files of an archive or a folder, nothing of them believed; raises `ExportMalformed`, `ExportTooLarge`."""
    if not path.is_dir():
        if path.stat().st_size > archive.MAX_ARCHIVE_BYTES:
            raise ExportTooLarge("the archive is too large", expected=f"at most {archive.MAX_ARCHIVE_BYTES} bytes")
        return archive.read(plain_file.read(path))
    found: dict[str, bytes] = {}
    total = 0
    for one in sorted(path.iterdir()):
        if one.is_symlink() or not one.is_file() or len(found) >= archive.MAX_FILES:
            raise ExportMalformed("not the folder of an export", expected=f"at most {archive.MAX_FILES} plain files")
        total += one.stat().st_size
        if total > MAX_TOTAL_BYTES:
            raise ExportTooLarge("the folder is too large", expected=f"at most {MAX_TOTAL_BYTES} bytes")
        found[archive.require_name(one.name)] = one.read_bytes()
    return found


def _signed_manifest(files: Files, key: jws.PublicKey) -> tuple[Manifest, str]:
    try:
        data, signature = files[manifest.MANIFEST], files[manifest.SIGNATURE].decode("ascii")
    except KeyError as error:
        raise ExportFileMismatch("the manifest or its signature is missing", file=str(error.args[0])) from None
    except UnicodeDecodeError as error:
        raise ExportSignatureInvalid("the signature is not a JWS") from error
    if len(data) > manifest.MAX_MANIFEST_BYTES:
        raise ExportTooLarge("the manifest is too large", expected=f"at most {manifest.MAX_MANIFEST_BYTES} bytes")
    try:
        parsed = jws.parse(signature)
        if parsed.header.get("typ") != manifest.TYP or set(parsed.header) != {"alg", "typ"}:
            raise ExportSignatureInvalid("another kind of JWS", expected=manifest.TYP)
        payload = jws.open_jws(parsed, key)
    except (NotCanonical, SignatureInvalid, StatementMalformed, StatementTooLarge) as error:
        raise ExportSignatureInvalid("the manifest is not signed by this key", found=error.code) from error
    if payload != data:
        raise ExportSignatureInvalid("the signature is over another manifest")
    signed = _decoded(data, Manifest, "the manifest")
    if signed.format != manifest.FORMAT:
        raise ExportMalformed("another format", expected=manifest.FORMAT)
    return signed, hashlib.sha256(data).hexdigest()


def _require_files(files: Files, signed: Manifest) -> None:
    expected = manifest.FILES[signed.profile]
    listed = [one.name for one in signed.files]
    if set(listed) != expected or len(listed) != len(expected):
        raise ExportFileMismatch("the manifest lists other files than its profile has", expected=sorted(expected))
    extra = set(files) - expected - {manifest.MANIFEST, manifest.SIGNATURE}
    if extra:
        raise ExportFileMismatch("files that the manifest does not list", found=len(extra))
    for one in signed.files:
        if one.name not in files:
            raise ExportFileMismatch("a file is missing", file=one.name)
        found = files[one.name]
        if len(found) != one.size or hashlib.sha256(found).hexdigest() != one.sha256:
            raise ExportFileMismatch("a file is not what the manifest says", expected=one.sha256, file=one.name)


def _checkpoint(signed: Manifest, vkeys: Sequence[Verifier], origin: str | None) -> Checkpoint:
    if signed.checkpoint is None or signed.generalised is not None:
        raise ExportMalformed("a provable export has a checkpoint and generalises nothing")
    if origin is None or not vkeys:
        raise ExportMalformed("a provable export is checked against a log", expected="its origin and its keys")
    return checkpoint.open_checkpoint(signed.checkpoint.encode(), origin, vkeys).checkpoint


def _require_proven(files: Files, rows: Sequence[dict[str, Any]], opened: Checkpoint) -> None:
    lines = _lines(files[manifest.PROOFS], len(rows))
    last = -1
    for number, (row, line) in enumerate(zip(rows, lines, strict=True)):
        proof = _decoded(line, ProofLine, "a proof")
        if proof.index <= last:
            raise ExportRowMismatch("rows are not in the log's order, or an entry counts twice", row=number)
        last = proof.index
        _require_row(row, proof, opened, number)
    if not _is(files[manifest.TABLE], contents.provable_table(rows)):
        raise ExportRowMismatch("the table says something else than the rows", file=manifest.TABLE)


def _require_row(row: dict[str, Any], proof: ProofLine, opened: Checkpoint, number: int) -> None:
    try:
        data = jws.decode_base64url(proof.entry)
        path = [bytes.fromhex(one) for one in proof.path]
        merkle.verify_inclusion(
            path, index=proof.index, size=opened.size, leaf_hash=hashing.leaf(data), root=opened.root
        )
        subject = row.get("subject")
        made = provable(proof.index, data, proof.disclosures, subject if isinstance(subject, str) else None)
    except (ProofInvalid, StatementMalformed, ValueError) as error:
        raise ExportRowMismatch("the entry is not proven to be in the log", row=number) from error
    except ExportRowInvalid as error:
        raise ExportRowMismatch("the entry does not open", found=error.found, row=number) from error
    if made != row:
        raise ExportRowMismatch("the row says something else than its entry", row=number)


def _require_unlinkable(files: Files, signed: Manifest, rows: Sequence[dict[str, Any]]) -> None:
    if signed.generalised is None or signed.checkpoint is not None:
        raise ExportMalformed("an unlinkable export says how it is generalised, and proves nothing")
    for number, row in enumerate(rows):
        if set(row) != set(signed.generalised.columns):
            raise ExportRowMismatch("a row has other columns than the manifest", row=number)
    if not _is(files[manifest.TABLE], contents.unlinkable_table(rows, signed.generalised)):
        raise ExportRowMismatch("the table says something else than the rows", file=manifest.TABLE)


def _is(data: bytes, pieces: Iterable[bytes]) -> bool:
    at = 0
    for piece in pieces:
        if not data.startswith(piece, at):
            return False
        at += len(piece)
    return at == len(data)


def _lines(data: bytes, expected: int) -> list[bytes]:
    if expected > MAX_LINES:
        raise ExportTooLarge("too many rows", expected=f"at most {MAX_LINES}", found=expected)
    lines = data.split(b"\n", MAX_LINES + 1)
    if lines.pop() or len(lines) != expected:
        raise ExportRowMismatch("another number of rows than the manifest says", expected=expected, found=len(lines))
    if any(len(line) > MAX_LINE_BYTES for line in lines):
        raise ExportTooLarge("a row is too large", expected=f"at most {MAX_LINE_BYTES} bytes")
    return lines


def _object(line: bytes) -> dict[str, Any]:
    return _decoded(line, dict[str, Any], "a row")


def _decoded(data: bytes, kind: type[T], what: str) -> T:
    try:
        return canonical.convert(canonical.decode(data), kind, what)
    except (NotCanonical, RecordMalformed) as error:
        raise ExportMalformed(f"{what} cannot be read", found=error.code) from error
