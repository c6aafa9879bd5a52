"""Making an export: rows in, one archive out; recorded in the log before the file has its name.

1  choose      leave out the restricted, pick permitted disclosures, name subjects by pseudonym (or generalise)
2  write       all files, the manifest over them, the signature over the manifest, under a temporary name
3  remember    the vault's disclosure log: refused if a subject was erased meanwhile
4  record      DataDisclosed in the ledger
5  release     rename: from here on the recipient can have it
"""

import asyncio
import os
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from msgspec import UNSET

from ledger.privacy import disclosure_log
from ledger.privacy.disclosure_log import Disclosed
from ledger.privacy.erasure import Recorder
from ledger.privacy.errors import ExportPolicyInvalid, ExportRowInvalid, ExportStale, ExportTooLarge
from ledger.privacy.exports import anonymity, archive, contents, manifest, sealing
from ledger.privacy.exports.generalise import Places
from ledger.privacy.exports.manifest import Manifest
from ledger.privacy.exports.policy import (
    PERMILLE,
    TO_SUBJECT,
    Column,
    Epoch,
    Policy,
    ProvablePolicy,
    UnlinkablePolicy,
)
from ledger.privacy.exports.rows import RECORDED_AT, ExportRow, ProofLine, provable, revealed, value_at
from ledger.privacy.months import MS_PER_DAY, month_of
from ledger.privacy.pseudonyms import Pseudonyms, month_epoch, transaction_epoch
from ledger.privacy.vault import Vault
from ledger.records import canonical, disclosure, jws, record, registry
from ledger.records import entry as entries
from ledger.records.privacy import DataDisclosed, LegalBasis, Profile, Purpose

MAX_EXPORT_ROWS: Final = 200_000
MAX_EXPORT_BYTES: Final = 2**30

Rows = Iterable[ExportRow] | AsyncIterable[ExportRow]


@dataclass(frozen=True, slots=True)
class Released:
    """An export that was released."""

    path: Path
    manifest_sha256: str
    rows: int
    entry_index: int
    """Where `DataDisclosed` stands in the log."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    files: dict[str, bytes]
    rows: int
    generalised: manifest.Generalised | None
    disclosed: frozenset[tuple[bytes, str]]
    """Internal id and pseudonym of everyone whose data is in it."""


class Exporter:
    """Makes exports under one signing key, which is not the log's: who holds one of the two invents nothing."""

    def __init__(self, vault: Vault, record: Recorder, *, key: jws.PrivateKey, controller: str) -> None:
        """`controller` is the organisation on whose behalf exports are made; `key` signs their manifests."""
        self._vault = vault
        self._recorder = record
        self._key = key
        self._controller = controller

    async def make(
        self,
        rows: Rows,
        path: Path,
        *,
        policy: Policy,
        recipient: str | None,
        purpose: Purpose,
        legal_basis: LegalBasis,
        checkpoint: bytes | None = None,
        places: Places | None = None,
        about: Mapping[str, Any] | None = None,
        papers: Iterable[bytes] = (),
        seal_to: sealing.PublicKey | None = None,
    ) -> Released:
        """The export is at `path`, and both the log and the vault know that it was disclosed.

        `checkpoint` is the signed note that the rows' proofs lead to (provable policies), `places` the hierarchy of
        places (unlinkable ones), `about` the answer to Art. 15(1) and (2) (`access.about`) and `papers` the documents
        that are kept of the subject (ACCESS only). Raises
        `ExportPolicyInvalid`, `ExportRowInvalid`, `ExportTooLarge`, `AnonymityUnreachable`, `ExportStale`; then
        nothing is at `path`. FileExistsError where something already is.
        """
        _require_fitting(policy, recipient, checkpoint, about)
        if path.exists():  # noqa: ASYNC240 -- one look at a local folder
            raise FileExistsError(path.name)
        gathered = await self._gather(rows, policy)
        if isinstance(policy, ProvablePolicy):
            chosen = self._choose_provable(gathered, policy, recipient, purpose)
        else:
            for row in gathered:
                if self._persons(row, row.disclosures) - {row.subject}:
                    raise ExportRowInvalid("a row says something of another person than its subject", index=row.index)
            # Seconds of pure computation: beside the event loop, not on it.
            chosen = await asyncio.to_thread(_choose_unlinkable, gathered, policy, places or {})
        if about is not None:
            chosen.files[manifest.ABOUT] = canonical.encode(dict(about)) + b"\n"
            chosen.files[manifest.PAPERS] = contents.papers_file(papers)
        signed, data = self._pack(chosen, policy, recipient, purpose, legal_basis, checkpoint)
        if seal_to is not None:
            data = sealing.seal(data, seal_to, recipient=recipient or "", manifest_sha256=signed)
        beside = path.with_name(f"{path.name}.part")
        try:
            _write(beside, data)
            self._remember(chosen, policy, recipient, purpose, signed)
            appended = await self._recorder(
                DataDisclosed(
                    manifest_sha256=signed,
                    profile=policy.profile,
                    recipient=UNSET if recipient is None else recipient,
                    purpose=purpose,
                    legal_basis=legal_basis,
                    policy_version=policy.version,
                    rows=UNSET if policy.profile in TO_SUBJECT else chosen.rows,
                    k=policy.k if isinstance(policy, UnlinkablePolicy) else UNSET,
                )
            )
            # From here on the disclosure is on record; a crash now leaves a recorded file that nobody received.
            beside.rename(path)
        finally:
            beside.unlink(missing_ok=True)
        return Released(path, signed, chosen.rows, appended.index)

    async def _gather(self, rows: Rows, policy: Policy) -> list[ExportRow]:
        allowed = isinstance(policy, ProvablePolicy) and policy.despite_restriction
        restricted = frozenset() if allowed else _restricted(self._vault)
        gathered: list[ExportRow] = []
        size = 0
        async for row in _each(rows):
            if row.subject is not None and row.subject in restricted:
                continue
            if restricted and row.disclosures:
                # Another person in the same entry may be restricted: the row stays, what is theirs does not.
                owners = self._vault.owners(disclosure.digest(one) for one in row.disclosures)
                kept = [one for one in row.disclosures if owners.get(disclosure.digest(one)) not in restricted]
                row = replace(row, disclosures=tuple(kept))
            size += len(row.entry_bytes) + sum(len(one) for one in row.disclosures)
            if len(gathered) >= MAX_EXPORT_ROWS or size > MAX_EXPORT_BYTES:
                raise ExportTooLarge(
                    "too much for one export", expected=f"at most {MAX_EXPORT_ROWS} rows and {MAX_EXPORT_BYTES} bytes"
                )
            gathered.append(row)
        return gathered

    def _choose_provable(
        self, rows: list[ExportRow], policy: ProvablePolicy, recipient: str | None, purpose: Purpose
    ) -> _Chosen:
        pseudonyms = Pseudonyms(self._vault.keys)
        made: list[dict[str, Any]] = []
        proofs: list[ProofLine] = []
        disclosed: set[tuple[bytes, str]] = set()
        for row in sorted(rows, key=lambda one: one.index):
            if proofs and proofs[-1].index == row.index:
                raise ExportRowInvalid("an entry is exported once: twice would count twice", index=row.index)
            texts = permitted(row, policy)
            line = provable(row.index, row.entry_bytes, texts, None)
            epoch = (
                month_epoch(month_of(line["recorded_at_ms"]))
                if policy.epoch is Epoch.MONTH
                else transaction_epoch(row.transaction or line["stream"])
            )
            names = {
                uid: pseudonyms.of(uid, recipient=recipient or "", purpose=purpose.value, epoch=epoch)
                for uid in self._persons(row, texts)
            }
            line["subject"] = names.get(row.subject) if row.subject is not None else None
            disclosed.update(names.items())
            made.append(line)
            proofs.append(
                ProofLine(
                    index=row.index,
                    entry=jws.encode_base64url(row.entry_bytes),
                    disclosures=texts,
                    path=tuple(one.hex() for one in row.proof),
                )
            )
        return _Chosen(contents.provable_files(made, proofs), len(made), None, frozenset(disclosed))

    def _persons(self, row: ExportRow, texts: Iterable[str]) -> set[bytes]:
        """Everybody of whom the row says something; raises `ExportStale` for what the vault no longer has."""
        digests = [disclosure.digest(one) for one in texts]
        owners = self._vault.owners(digests)
        if len(owners) != len(digests):
            raise ExportStale("a disclosure is not in the vault (any more)", index=row.index)
        return {uid for uid in (row.subject, *owners.values()) if uid is not None}

    def _pack(
        self,
        chosen: _Chosen,
        policy: Policy,
        recipient: str | None,
        purpose: Purpose,
        legal_basis: LegalBasis,
        checkpoint: bytes | None,
    ) -> tuple[str, bytes]:
        now_ms = self._vault.clock.now_ms()
        data = manifest.encode(
            Manifest(
                format=manifest.FORMAT,
                profile=policy.profile,
                policy_version=policy.version,
                purpose=purpose,
                legal_basis=legal_basis,
                made_at_ms=now_ms,
                delete_at_ms=now_ms + policy.keep_days * MS_PER_DAY,
                rows=chosen.rows,
                files=tuple(
                    manifest.FileLine(name=name, sha256=manifest.sha256(body), size=len(body))
                    for name, body in sorted(chosen.files.items())
                ),
                controller=self._controller,
                recipient=recipient,
                checkpoint=None if checkpoint is None else checkpoint.decode(),
                generalised=chosen.generalised,
            )
        )
        signature = jws.sign(data, self._key, {"typ": manifest.TYP}).encode()
        files = {**chosen.files, manifest.MANIFEST: data, manifest.SIGNATURE: signature}
        return manifest.sha256(data), archive.write(files)

    def _remember(
        self, chosen: _Chosen, policy: Policy, recipient: str | None, purpose: Purpose, manifest_sha256: str
    ) -> None:
        now_ms = self._vault.clock.now_ms()
        disclosure_log.add(
            self._vault,
            [
                Disclosed(uid, manifest_sha256, recipient or "", purpose.value, policy.profile.value, pseudonym, now_ms)
                for uid, pseudonym in sorted(chosen.disclosed)
            ],
            despite_restriction=isinstance(policy, ProvablePolicy) and policy.despite_restriction,
        )


def _choose_unlinkable(rows: list[ExportRow], policy: UnlinkablePolicy, places: Places) -> _Chosen:
    facts: list[anonymity.Fact] = []
    for row in rows:
        if row.subject is None:
            raise ExportRowInvalid("a row without a subject hides nobody", index=row.index)
        read, _, event = revealed(row.entry_bytes, row.disclosures)
        values = {
            column.name: _scaled(read.rec if column.path == RECORDED_AT else value_at(event, column.path), column)
            for column in policy.columns
        }
        facts.append((row.subject, values))
    found = anonymity.anonymise(facts, policy, places)
    generalised = manifest.Generalised(
        k=policy.k,
        l=policy.l,
        columns=tuple(column.name for column in policy.columns),
        levels=tuple(found.levels[column.name] for column in policy.columns),
        suppressed_permille=-(-found.suppressed * PERMILLE // len(facts)),
    )
    files = contents.unlinkable_files(found.rows, generalised)
    # Nobody is named in it, yet everybody in it may ask who received what: the empty pseudonym gets no notice.
    return _Chosen(files, len(found.rows), generalised, frozenset((uid, "") for uid, _ in facts))


def _scaled(value: Any, column: Column) -> Any:
    return value // column.divisor if isinstance(value, int) and not isinstance(value, bool) else value


def _require_fitting(
    policy: Policy, recipient: str | None, checkpoint: bytes | None, about: Mapping[str, Any] | None
) -> None:
    if isinstance(policy, ProvablePolicy) is (checkpoint is None):
        raise ExportPolicyInvalid("proofs and a checkpoint belong together, and to provable policies only")
    is_access = policy.profile is Profile.ACCESS
    if (policy.profile in TO_SUBJECT) is not (recipient is None):
        raise ExportPolicyInvalid("the subject receives its own data, an organisation everything else")
    if is_access is (about is None):
        raise ExportPolicyInvalid("an access export, and only that, says what the law asks about the processing")


def permitted(row: ExportRow, policy: ProvablePolicy) -> tuple[str, ...]:
    """The disclosures of a row that the policy lets out, sorted."""
    names = policy.disclose
    if policy.portable_only:
        read = entries.decode(row.entry_bytes)
        known = record.personal_marks(registry.kind(read.type, read.v))
        names = frozenset(name for name, mark in known.items() if mark.portable)
    return tuple(sorted(one for one in row.disclosures if names is None or disclosure.parse(one).name in names))


def _restricted(vault: Vault) -> frozenset[bytes]:
    return frozenset(one.uid for one in vault.subjects() if one.restricted)


async def _each(rows: Rows) -> AsyncIterable[ExportRow]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
