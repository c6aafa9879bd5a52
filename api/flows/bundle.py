"""Build the evidence bundle of one request: everything that a stranger needs to verify it offline, and nothing else.

What is needed is found out by verifying: first over all evidence at hand, then only what the verifier touched is kept.
So a bundle never holds a byte that its verifier would not look at, and never more of anybody than it has to.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from api.errors import Broken
from api.flows import bundle_stamps
from api.flows.desk import Desk
from api.flows.memory import Memory
from api.flows.stamping import StampBook
from api.verification import bundle_format
from api.verification.bundle import Verification
from api.verification.bundle_format import Anchors, Attachment, Bundle, BundleEntry, Erasure
from api.verification.errors import SignerUnknown
from ledger.errors import LedgerError
from ledger.privacy.opened import Opened, State
from ledger.reader import Reader
from ledger.records import disclosure, jws, record, site_changes, statement
from ledger.records import entry as entries
from ledger.records.entry import Entry
from ledger.records.requests import RequestIssued
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import SiteConfigured
from ledger.records.statement import Statement
from ledger.store.errors import StreamAbsent
from ledger.tlog import checkpoint, note
from ledger.tlog.note import Verifier
from pki.trust import encoded

MAX_ROUNDS: Final = 4
"""Rounds of leaving out what was not needed; one is enough unless evidence contradicts itself."""


class BundleUnstable(Broken):
    """What the verifier needs changes with what it is given: the evidence contradicts itself."""

    code = "api/bundle-unstable"
    title = "Bundle does not settle"


def build(
    desk: Desk,
    memory: Memory,
    reader: Reader,
    fsr_id: str,
    *,
    checkpoint_note: bytes,
    witnesses: Sequence[Verifier] = (),
    with_persons: bool = True,
    stamps: StampBook | None = None,
) -> bytes:
    """The bundle of a request as of a checkpoint, canonical bytes.

    Restricted and lost data are left out, and without `with_persons` all that is about a person; erased data are
    replaced by their openings. `stamps` are the time stamps on record. Raises `RequestAbsent`,
    `BundleUnusable` where it would be too large, and what reading the stores raises.
    """
    del memory  # what is needed follows from the log alone
    desk.state.request(fsr_id)
    whole = _everything(desk, reader, fsr_id, checkpoint_note, witnesses, with_persons=with_persons)
    for _ in range(MAX_ROUNDS):
        needed = _needed(whole)
        if needed == whole:
            if stamps is not None:
                whole = bundle_stamps.stamped(whole, stamps, reader, desk.engines)
            return bundle_format.encode(whole)
        whole = needed
    raise BundleUnstable("the evidence does not settle", fsr_id=fsr_id)


def _everything(
    desk: Desk,
    reader: Reader,
    fsr_id: str,
    checkpoint_note: bytes,
    witnesses: Sequence[Verifier],
    *,
    with_persons: bool,
) -> Bundle:
    """All evidence at hand that could have to do with the request."""
    signed, (vkey, *vkeys) = known_lines(checkpoint_note, desk.engines.log_keys.vkeys(), witnesses)
    size = checkpoint.parse(note.parse(signed).text).size
    rows = dict(_streams(reader, fsr_id, size))
    told = {index: _read(data) for index, data in rows.items()}
    opened = _opened(desk, [one for _, one in told.values()])
    rows |= _tombstones(reader, opened, size)
    shown = [one for one in opened.values() if one.state is State.TEXT and (with_persons or one.uid is None)]
    texts = [one.text for one in shown if one.text is not None]
    attachments, erased = _attachments(desk, told, texts)
    erasures = [*_erasures(opened), *erased]
    return bundle_format.in_order(
        Bundle(
            format=bundle_format.FORMAT,
            origin=desk.origin,
            fsr_id=fsr_id,
            anchors=Anchors(vkey=vkey, vkeys=tuple(vkeys), roots=tuple(map(encoded, desk.first_roots()))),
            checkpoint=signed.decode(),
            entries=tuple(
                BundleEntry(
                    index=index,
                    entry=msgspec.Raw(data),
                    proof=tuple(one.hex() for one in reader.inclusion(index, size)),
                )
                for index, data in rows.items()
            ),
            disclosures=tuple(texts),
            erasures=tuple(erasures),
            certificates=tuple(_certificates(desk, rows.values())),
            status=desk.directory.status.ders(),
            attachments=tuple(attachments),
        )
    )


def _needed(whole: Bundle) -> Bundle:
    """The same without what its verification did not touch."""
    seen = Verification(whole, None)
    seen.run()
    if seen.directory is None or seen.room is None:
        return whole
    certificates, crls = seen.directory.unused()
    unused = seen.room.unused()
    known = {entry.index for entry in whole.entries if _is_tombstone(bytes(entry.entry))}
    return msgspec.structs.replace(
        whole,
        entries=tuple(e for e in whole.entries if e.index not in known or e.index in seen.used_tombstones),
        disclosures=_without(whole.disclosures, unused["disclosures"]),
        erasures=_without(whole.erasures, unused["erasures"]),
        certificates=_without(whole.certificates, certificates),
        status=_without(whole.status, crls),
        attachments=_without(whole.attachments, unused["attachments"]),
    )


def _without(items: Sequence[bundle_format.T], positions: Iterable[int]) -> tuple[bundle_format.T, ...]:
    left_out = frozenset(positions)
    return tuple(item for position, item in enumerate(items) if position not in left_out)


def known_lines(signed: bytes, own: Sequence[str], witnesses: Sequence[Verifier]) -> tuple[bytes, tuple[str, ...]]:
    """The checkpoint with the log's own lines and the witnesses', and the keys of these: other lines prove nothing."""
    known = [*(note.parse_vkey(vkey) for vkey in own), *witnesses]
    opened = note.open(signed, known)
    lines = {(line.name, line.key_id) for line in opened.verified}
    vkeys = tuple(one.vkey for one in known if (one.name, one.key_id) in lines)
    return (opened.text + "\n" + "".join(line.line() for line in opened.verified)).encode(), vkeys


# Entries


def _streams(reader: Reader, fsr_id: str, size: int) -> Iterator[tuple[int, bytes]]:
    """The request's stream and the whole streams that it rests on, up to the checkpoint."""
    wanted = {f"fsr/{fsr_id}"}
    done: set[str] = set()
    while wanted - done:
        name = min(wanted - done)
        done.add(name)
        try:
            stream = reader.stream(name)
        except StreamAbsent:
            continue
        for index, data in stream:
            if index < size:
                yield index, data
                wanted |= _named(reader, entries.decode(data))


def _named(reader: Reader, entry: Entry) -> set[str]:
    """The streams that an entry rests on: its policy's, and those that a request names."""
    found = {entries.decode(reader.entry(entry.pol)).stream}
    if entry.type == RequestIssued.TYPE:
        issued = statement.parse_statement(entry.stmt).record
        if isinstance(issued, RequestIssued):
            found |= {f"site/{issued.site_id}", *(f"fsc/{fsc_id}" for fsc_id in issued.fsc_ids)}
    return found


def _read(data: bytes) -> tuple[Entry, Statement]:
    entry = entries.decode(data)
    return entry, statement.parse_statement(entry.stmt)


def _tombstones(reader: Reader, opened: dict[str, Opened], size: int) -> dict[int, bytes]:
    places = {one.tombstone.index for one in opened.values() if one.tombstone is not None}
    return {index: reader.entry(index) for index in places if index is not None and index < size}


def _is_tombstone(data: bytes) -> bool:
    return entries.decode(data).stream.startswith("privacy/")


# Evidence beside the log


def _opened(desk: Desk, told: Iterable[Statement]) -> dict[str, Opened]:
    digests = [one for opened in told for one in record.digests(opened.claims.event)]
    return desk.engines.vault.open_many(digests)


def _erasures(opened: dict[str, Opened]) -> Iterator[Erasure]:
    for digest, one in opened.items():
        if one.tombstone is not None and one.tombstone.index is not None and one.tombstone.opening is not None:
            opening = one.tombstone.opening
            yield Erasure(
                digest=digest, handle=opening.handle, salt=opening.salt, index=opening.index, path=opening.path
            )


def _attachments(
    desk: Desk, told: dict[int, tuple[Entry, Statement]], texts: Iterable[str]
) -> tuple[list[Attachment], list[Erasure]]:
    """Every document that an entry or a disclosure names by its digest, or the opening that says it was erased."""
    vault, store = desk.engines.vault, desk.engines.store
    found: dict[str, bytes] = {}
    erased: dict[str, Erasure] = {}
    for sha256 in _document_names(told.values(), texts):
        stored = store.evidence(sha256)
        if stored is not None:
            found[sha256] = stored[1]
            continue
        try:
            found[sha256] = vault.attachment(sha256)
        except LedgerError:
            tombstone = vault.tombstone_of(sha256)
            if tombstone is not None:
                erased |= {one.digest: one for one in _erasures({sha256: Opened(State.ERASED, tombstone=tombstone)})}
    return [Attachment(sha256=sha256, data=data) for sha256, data in found.items()], list(erased.values())


def _document_names(told: Iterable[tuple[Entry, Statement]], texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        opened = disclosure.parse(text)
        if opened.name in ("body_sha256", "claim_sha256", "link_sha256") and isinstance(opened.value, str):
            yield opened.value
        elif opened.name == "evu_statement" and isinstance(opened.value, str):
            yield jws.decode_base64url(statement.parse_statement(opened.value).header.x5t).hex()
    for _, opened_statement in told:
        said = opened_statement.record
        inputs = getattr(said, "inputs_sha256", None)
        if isinstance(inputs, str):
            yield inputs
        if isinstance(said, SiteConfigured):
            yield from (evse.meter.key_spki_sha256 for evse in said.evses)
        elif isinstance(said, SiteChanged):
            yield from (meter.key_spki_sha256 for meter in site_changes.meters(said))


def _certificates(desk: Desk, rows: Iterable[bytes]) -> Iterator[bytes]:
    """The signers' certificates, those handed over out of band, and every issuing authority."""
    yield from desk.directory.issuers()
    yield from desk.engines.certificates
    seen: set[str] = set()
    for data in rows:
        _, opened = _read(data)
        seen.add(opened.header.x5t)
        said = opened.record
        if isinstance(said, RequestIssued) and said.mandate is not None:
            seen.add(statement.parse_statement(said.mandate.directive).header.x5t)
    for x5t in sorted(seen):
        der = desk.engines.store.certificate(x5t)
        if der is None:
            try:
                der = desk.directory.certificate(x5t)
            except SignerUnknown:
                continue
        yield der
