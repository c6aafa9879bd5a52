"""An export, checked by its recipient: offline, with the exporter's key and the log's, and nothing else.

Nothing in it is believed because the exporter says so, save the pseudonyms: rows are made again from the entries,
entries are proven to be in the log, and both must be what the files say.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from ledger import plain_file
from ledger.privacy.errors import (
    ExportExpired,
    ExportFileMismatch,
    ExportLogUnnamed,
    ExportMalformed,
    ExportRowInvalid,
    ExportRowMismatch,
    ExportSignatureInvalid,
    ExportTooLarge,
)
from ledger.privacy.exports import contents, manifest
from ledger.privacy.exports.manifest import Manifest
from ledger.privacy.exports.parts import FileOctets, InArchive, InFolder, InMemory, Parts
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
MAX_SIGNATURE_BYTES: Final = 2 * manifest.MAX_MANIFEST_BYTES

Row = dict[str, Any]
T = TypeVar("T")


class _PaperPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of papers.jsonl."""

    sha256: Hash
    part: Annotated[int, msgspec.Meta(ge=0, le=1_000)]
    parts: Annotated[int, msgspec.Meta(ge=1, le=1_000)]
    data: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """What the recipient may rely on."""

    manifest: Manifest
    manifest_sha256: str
    """What `DataDisclosed` in the log names."""
    checkpoint: Checkpoint | None
    """Where every row of a provable export is proven to be; None for an unlinkable one."""


@dataclass(frozen=True, slots=True)
class VerifiedExport(Verified):
    """The same with all rows."""

    rows: tuple[Row, ...]


def verify_export(
    source: Path | Mapping[str, bytes],
    *,
    signer_key: jws.PublicKey,
    vkeys: Sequence[Verifier] = (),
    origin: str | None = None,
    now_ms: int | None = None,
) -> VerifiedExport:
    """The export in an archive, a folder or a mapping of names to bytes is known to be right; its rows are in memory.

    Raises what `verify_parts` raises, and OSError.
    """
    rows: list[Row] = []
    with ExitStack() as kept:
        if not isinstance(source, Path):
            files: Parts = InMemory(source)
        elif source.is_dir():
            files = InFolder(source)
        else:
            files = InArchive(FileOctets(kept.enter_context(plain_file.opened(source))))
        found = verify_parts(files, signer_key=signer_key, vkeys=vkeys, origin=origin, now_ms=now_ms, each=rows.append)
    return VerifiedExport(found.manifest, found.manifest_sha256, found.checkpoint, tuple(rows))


def verify_parts(
    files: Parts,
    *,
    signer_key: jws.PublicKey,
    vkeys: Sequence[Verifier] = (),
    origin: str | None = None,
    now_ms: int | None = None,
    each: Callable[[Row], None] = lambda _row: None,
) -> Verified:
    """The export is known to be right; it is read a piece at a time, and nothing of it is kept.

    The manifest is signed by `signer_key`; every file is listed and as listed; every row of a provable export follows
    from an entry that is in the log `origin`, whose checkpoint one of `vkeys` signed. With `now_ms`, it has not
    expired. `each` is given every row; none may be relied on before this returns. Raises `ExportMalformed`,
    `ExportTooLarge`, `ExportSignatureInvalid`, `ExportFileMismatch`, `ExportRowMismatch`, `ExportExpired`,
    `ExportLogUnnamed`, and what the checkpoint's verification and the reading of `files` raise.
    """
    signed, digest = _signed_manifest(files, signer_key)
    reading = _Reading(files, signed)
    reading.require_all()
    if now_ms is not None and now_ms > signed.delete_at_ms:
        raise ExportExpired("to be deleted by now", expected=f"before {signed.delete_at_ms}", found=now_ms)
    if signed.profile is Profile.RESEARCH:
        _require_unlinkable(reading, each)
        return Verified(signed, digest, None)
    opened = _checkpoint(signed, vkeys, origin)
    _require_proven(reading, opened, each)
    if manifest.PAPERS in reading.listed:
        for _ in _papers(_lines_of(reading.pieces(manifest.PAPERS))):
            pass
    return Verified(signed, digest, opened)


def papers(data: bytes) -> dict[str, bytes]:
    """The documents of papers.jsonl by SHA-256; raises `ExportRowMismatch` where one is not what its digest says."""
    found: dict[str, bytes] = {}
    for part in _papers(_lines_of([data])):
        found[part.sha256] = found.get(part.sha256, b"") + part.data
    return found


def _papers(lines: Iterable[bytes]) -> Iterator[_PaperPart]:
    """The parts, one paper after the other, each with its digest known to be right once it is over."""
    seen: set[bytes] = set()
    digest, open_one, awaited = hashlib.sha256(), "", (0, 0)
    for number, line in enumerate(lines):
        if number >= MAX_LINES:
            raise ExportMalformed("the papers are not lines", expected=f"at most {MAX_LINES}")
        part = _decoded(line, _PaperPart, "a part of a paper")
        if not open_one and bytes.fromhex(part.sha256) not in seen:
            digest, open_one, awaited = hashlib.sha256(), part.sha256, (0, part.parts)
        if (part.sha256, part.part, part.parts) != (open_one, *awaited):
            raise ExportRowMismatch("the parts of a paper are not in order")
        digest.update(part.data)
        awaited = part.part + 1, part.parts
        if awaited[0] == part.parts:
            if digest.hexdigest() != open_one:
                raise ExportRowMismatch("a paper is not what its digest says", expected=open_one)
            seen.add(digest.digest())
            open_one = ""
        yield part
    if open_one:
        raise ExportRowMismatch("a paper is not what its digest says", expected=open_one)


class _Reading:
    """The files that the manifest lists; a reading of one that is not as it says ends in a mismatch."""

    def __init__(self, files: Parts, signed: Manifest) -> None:
        self._files = files
        self.signed = signed
        self.listed = {one.name: one for one in signed.files}

    def require_all(self) -> None:
        """Every file of the profile is there, as listed, and no other."""
        expected = manifest.FILES[self.signed.profile]
        if set(self.listed) != expected or len(self.signed.files) != len(expected):
            raise ExportFileMismatch("the manifest lists other files than its profile has", expected=sorted(expected))
        extra = set(self._files.sizes) - expected - {manifest.MANIFEST, manifest.SIGNATURE}
        if extra:
            raise ExportFileMismatch("files that the manifest does not list", found=len(extra))
        for name in self.listed:
            if name not in self._files.sizes:
                raise ExportFileMismatch("a file is missing", file=name)
            for _ in self.pieces(name):
                pass

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file, a piece at a time; raises `ExportFileMismatch` at its end, or before it becomes too long."""
        wanted = self.listed[name]
        digest, size = hashlib.sha256(), 0
        for piece in self._files.pieces(name):
            size += len(piece)
            if size > wanted.size:
                break
            digest.update(piece)
            yield piece
        if size != wanted.size or digest.hexdigest() != wanted.sha256:
            raise ExportFileMismatch("a file is not what the manifest says", expected=wanted.sha256, file=name)

    def lines(self, name: str) -> Iterator[bytes]:
        """The file's lines, as many as the manifest says rows."""
        expected, count = self.signed.rows, 0
        if expected > MAX_LINES:
            raise ExportTooLarge("too many rows", expected=f"at most {MAX_LINES}", found=expected)
        for line in _lines_of(self.pieces(name)):
            count += 1
            if count > expected:
                break
            yield line
        if count != expected:
            found = count if count < expected else "more"
            raise ExportRowMismatch("another number of rows than the manifest says", expected=expected, found=found)

    def rows(self) -> Iterator[Row]:
        """What records.jsonl says."""
        return (_decoded(line, Row, "a row") for line in self.lines(manifest.RECORDS))

    def require_table(self, lines: Iterable[bytes]) -> None:
        """records.csv is these."""
        if not _is(self.pieces(manifest.TABLE), lines):
            raise ExportRowMismatch("the table says something else than the rows", file=manifest.TABLE)


def _signed_manifest(files: Parts, key: jws.PublicKey) -> tuple[Manifest, str]:
    for name in (manifest.MANIFEST, manifest.SIGNATURE):
        if name not in files.sizes:
            raise ExportFileMismatch("the manifest or its signature is missing", file=name)
    data = _short(files, manifest.MANIFEST, manifest.MAX_MANIFEST_BYTES)
    try:
        signature = _short(files, manifest.SIGNATURE, MAX_SIGNATURE_BYTES).decode("ascii")
    except UnicodeDecodeError as error:
        raise ExportSignatureInvalid("the signature is not a JWS") from error
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


def _short(files: Parts, name: str, limit: int) -> bytes:
    """A file that is small enough to be held."""
    if files.sizes[name] > limit:
        what = "manifest" if name == manifest.MANIFEST else "manifest's signature"
        raise ExportTooLarge(f"the {what} is too large", expected=f"at most {limit} bytes", found=files.sizes[name])
    held = bytearray()
    for piece in files.pieces(name):
        held += piece
        if len(held) > files.sizes[name]:
            raise ExportFileMismatch("a file grew while it was read", file=name)
    return bytes(held)


def _checkpoint(signed: Manifest, vkeys: Sequence[Verifier], origin: str | None) -> Checkpoint:
    if signed.checkpoint is None or signed.generalised is not None:
        raise ExportMalformed("a provable export has a checkpoint and generalises nothing")
    if origin is None or not vkeys:
        raise ExportLogUnnamed("a provable export is checked against a log", expected="its origin and its keys")
    return checkpoint.open_checkpoint(signed.checkpoint.encode(), origin, vkeys).checkpoint


def _require_proven(reading: _Reading, opened: Checkpoint, each: Callable[[Row], None]) -> None:
    def proven() -> Iterator[Row]:
        lines = reading.lines(manifest.PROOFS)
        last = -1
        for number, (row, line) in enumerate(zip(reading.rows(), lines, strict=True)):
            proof = _decoded(line, ProofLine, "a proof")
            if proof.index <= last:
                raise ExportRowMismatch("rows are not in the log's order, or an entry counts twice", row=number)
            last = proof.index
            _require_row(row, proof, opened, number)
            each(row)
            yield row

    # Read twice: the table's columns are those of all rows. What is compared the second time has the digest that was
    # proven the first time.
    names = contents.provable_columns(proven())
    reading.require_table(contents.provable_table(names, reading.rows()))


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


def _require_unlinkable(reading: _Reading, each: Callable[[Row], None]) -> None:
    generalised = reading.signed.generalised
    if generalised is None or reading.signed.checkpoint is not None:
        raise ExportMalformed("an unlinkable export says how it is generalised, and proves nothing")
    columns = set(generalised.columns)

    def fitting() -> Iterator[Row]:
        for number, row in enumerate(reading.rows()):
            if set(row) != columns:
                raise ExportRowMismatch("a row has other columns than the manifest", row=number)
            each(row)
            yield row

    reading.require_table(contents.unlinkable_table(fitting(), generalised))


def _is(pieces: Iterator[bytes], lines: Iterable[bytes]) -> bool:
    """Whether the two are the same octets; both are read to their ends if they are."""
    held = bytearray()
    for line in lines:
        while len(held) < len(line):
            piece = next(pieces, None)
            if piece is None:
                return False
            held += piece
        if not held.startswith(line):
            return False
        del held[: len(line)]
    return not held and not any(pieces)


def _lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; raises `ExportTooLarge`, and `ExportRowMismatch` for a last one without an end."""
    held = bytearray()
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            held += end
            _require_short(held)
            yield bytes(held)
            held.clear()
        held += rest
        _require_short(held)
    if held:
        raise ExportRowMismatch("the last line has no end")


def _require_short(line: bytearray) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise ExportTooLarge("a row is too large", expected=f"at most {MAX_LINE_BYTES} bytes")


def _decoded(data: bytes, kind: type[T], what: str) -> T:
    try:
        return canonical.convert(canonical.decode(data), kind, what)
    except (NotCanonical, RecordMalformed) as error:
        raise ExportMalformed(f"{what} cannot be read", found=error.code) from error
