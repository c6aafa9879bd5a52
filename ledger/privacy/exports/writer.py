"""Making an export: rows in, one archive out, never whole in memory; recorded in the log before any of it is given out.

1  choose      leave out the restricted, pick permitted disclosures, name subjects by pseudonym (or generalise)
2  write       all files into spools, as the rows are read; the manifest over them, the signature over the manifest
3  remember    the vault's disclosure log: refused if a subject was erased meanwhile
4  record      DataDisclosed in the ledger
5  release     from here on the archive can be read, once, piece by piece
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from ledger.privacy import disclosure_log
from ledger.privacy.disclosure_log import Disclosed
from ledger.privacy.erasure import Recorder
from ledger.privacy.errors import ExportPolicyInvalid
from ledger.privacy.exports import archive, contents, hiding, manifest, sealing
from ledger.privacy.exports.anonymity import Crowd
from ledger.privacy.exports.aside import Named
from ledger.privacy.exports.generalise import Places
from ledger.privacy.exports.intake import Rows
from ledger.privacy.exports.manifest import Generalised, Manifest
from ledger.privacy.exports.policy import TO_SUBJECT, Policy, ProvablePolicy, UnlinkablePolicy
from ledger.privacy.exports.proving import Proving
from ledger.privacy.exports.spool import Spools
from ledger.privacy.months import MS_PER_DAY
from ledger.privacy.vault import Vault
from ledger.records import jws
from ledger.records.privacy import DataDisclosed, LegalBasis, Profile, Purpose


@dataclass(frozen=True, slots=True)
class Terms:
    """To whom an export goes, for what, and on which ground; sealed to `seal_to` where there is one."""

    policy: Policy
    recipient: str | None
    """The organisation; None where the subject itself is the recipient."""
    purpose: Purpose
    legal_basis: LegalBasis
    seal_to: sealing.PublicKey | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """An export that is on record and may leave. Close it: it is gone then, wherever it was not read to its end."""

    manifest_sha256: str
    rows: int
    entry_index: int
    """Where `DataDisclosed` stands in the log."""
    size: int
    """Of the archive, or of the sealed archive, in bytes."""
    _spools: Spools = field(repr=False)
    _seal: sealing.Seal | None = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """The archive, or the sealed archive, piece by piece; once. Cut off anywhere, it does not verify."""
        made = archive.pieces(self._spools.members())
        return made if self._seal is None else self._seal.pieces(made)

    def close(self) -> None:
        """Nothing of it is here any longer; may be said twice."""
        self._spools.close()


@dataclass(frozen=True, slots=True)
class _Chosen:
    rows: int
    generalised: Generalised | None
    disclosed: Iterable[tuple[bytes, str]]
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
        terms: Terms,
        *,
        checkpoint: bytes | None = None,
        places: Places | None = None,
        about: Mapping[str, Any] | None = None,
        papers: Iterable[bytes] = (),
    ) -> Release:
        """The export is ready to be read, and both the log and the vault know that it was disclosed.

        `rows` come in the log's order. `checkpoint` is the signed note that their proofs lead to (provable policies),
        `places` the hierarchy of places (unlinkable ones), `about` the answer to Art. 15(1) and (2) (`access.about`)
        and `papers` the documents that are kept of the subject (ACCESS only). Raises `ExportPolicyInvalid`,
        `ExportRowInvalid`, `ExportTooLarge`, `AnonymityUnreachable`, `ExportStale`; then nothing can be read.
        """
        _require_fitting(terms, checkpoint, about)
        with ExitStack() as kept, ExitStack() as aside:
            spools = kept.enter_context(closing(Spools()))
            if isinstance(terms.policy, ProvablePolicy):
                named = aside.enter_context(closing(Named()))
                chosen = await self._prove(rows, terms, terms.policy, spools, named)
            else:
                crowd = aside.enter_context(closing(Crowd(terms.policy, places or {})))
                chosen = await self._hide(rows, terms.policy, spools, crowd)
            if about is not None:
                spools.whole(manifest.ABOUT, contents.line(dict(about)))
                written = spools.new(manifest.PAPERS)
                for line in contents.paper_lines(papers):
                    written.write(line)
            signed = self._sign(spools, chosen, terms, checkpoint)
            self._remember(chosen, terms, signed)
            appended = await self._recorder(_said(chosen, terms, signed))
            # From here on the disclosure is on record; a crash now leaves a recorded export that nobody received.
            kept.pop_all()
            return _released(spools, terms, signed, chosen.rows, appended.index)

    async def _prove(self, rows: Rows, terms: Terms, policy: ProvablePolicy, spools: Spools, named: Named) -> _Chosen:
        count = await Proving(self._vault, policy, terms.recipient, terms.purpose, spools, named).write(rows)
        return _Chosen(count, None, named)

    async def _hide(self, rows: Rows, policy: UnlinkablePolicy, spools: Spools, crowd: Crowd) -> _Chosen:
        count, generalised = await hiding.write(rows, self._vault, policy, spools, crowd)
        # Nobody is named in it, yet everybody in it may ask who received what: the empty pseudonym gets no notice.
        return _Chosen(count, generalised, ((uid, "") for uid in crowd.subjects()))

    def _sign(self, spools: Spools, chosen: _Chosen, terms: Terms, checkpoint: bytes | None) -> str:
        """Manifest and signature are among the files; the manifest's SHA-256."""
        now_ms = self._vault.clock.now_ms()
        data = manifest.encode(
            Manifest(
                format=manifest.FORMAT,
                profile=terms.policy.profile,
                policy_version=terms.policy.version,
                purpose=terms.purpose,
                legal_basis=terms.legal_basis,
                made_at_ms=now_ms,
                delete_at_ms=now_ms + terms.policy.keep_days * MS_PER_DAY,
                rows=chosen.rows,
                files=spools.finish(),
                controller=self._controller,
                recipient=terms.recipient,
                checkpoint=None if checkpoint is None else checkpoint.decode(),
                generalised=chosen.generalised,
            )
        )
        spools.whole(manifest.MANIFEST, data)
        spools.whole(manifest.SIGNATURE, jws.sign(data, self._key, {"typ": manifest.TYP}).encode())
        spools.finish()
        return manifest.sha256(data)

    def _remember(self, chosen: _Chosen, terms: Terms, manifest_sha256: str) -> None:
        now_ms = self._vault.clock.now_ms()
        disclosure_log.add(
            self._vault,
            (
                Disclosed(
                    uid,
                    manifest_sha256,
                    terms.recipient or "",
                    terms.purpose.value,
                    terms.policy.profile.value,
                    pseudonym,
                    now_ms,
                )
                for uid, pseudonym in chosen.disclosed
            ),
            despite_restriction=isinstance(terms.policy, ProvablePolicy) and terms.policy.despite_restriction,
        )


def _said(chosen: _Chosen, terms: Terms, manifest_sha256: str) -> DataDisclosed:
    return DataDisclosed(
        manifest_sha256=manifest_sha256,
        profile=terms.policy.profile,
        recipient=UNSET if terms.recipient is None else terms.recipient,
        purpose=terms.purpose,
        legal_basis=terms.legal_basis,
        policy_version=terms.policy.version,
        rows=UNSET if terms.policy.profile in TO_SUBJECT else chosen.rows,
        k=terms.policy.k if isinstance(terms.policy, UnlinkablePolicy) else UNSET,
    )


def _released(spools: Spools, terms: Terms, manifest_sha256: str, rows: int, entry_index: int) -> Release:
    size = archive.size(spools.sizes())
    if terms.seal_to is None:
        return Release(manifest_sha256, rows, entry_index, size, spools, None)
    seal = sealing.Seal(terms.seal_to, recipient=terms.recipient or "", manifest_sha256=manifest_sha256)
    return Release(manifest_sha256, rows, entry_index, seal.size(size), spools, seal)


def _require_fitting(terms: Terms, checkpoint: bytes | None, about: Mapping[str, Any] | None) -> None:
    policy = terms.policy
    if isinstance(policy, ProvablePolicy) is (checkpoint is None):
        raise ExportPolicyInvalid("proofs and a checkpoint belong together, and to provable policies only")
    is_access = policy.profile is Profile.ACCESS
    if (policy.profile in TO_SUBJECT) is not (terms.recipient is None):
        raise ExportPolicyInvalid("the subject receives its own data, an organisation everything else")
    if is_access is (about is None):
        raise ExportPolicyInvalid("an access export, and only that, says what the law asks about the processing")
