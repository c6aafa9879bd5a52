"""Verifying one request offline: from a file to a report, with nothing but the file and what the verifier trusts.

Every step is taken even after one has failed, as far as that makes sense, and names what and where.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from api.errors import ApiError
from api.verification import bundle_format, bundle_log, bundle_replay, bundle_statements, log_roots, succession
from api.verification.bundle_context import Context
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceForeign, EvidenceSurplus
from api.verification.bundle_format import Bundle, sha256
from api.verification.bundle_log import Read
from api.verification.bundle_policy import Policy, policy_of
from api.verification.bundle_room import Room
from api.verification.bundle_statements import Told
from api.verification.errors import AnchorMismatch, RootUnknown
from api.verification.log_roots import LogRoots, RootsUnreached
from api.verification.report import Lines, Report, counted
from ledger.errors import LedgerError
from ledger.records import statement as statements
from ledger.records.log import PolicyAdopted
from ledger.records.privacy import ErasureExecuted
from ledger.tlog import note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Verifier
from pki import trust, vouching
from pki.errors import PkiError
from pki.trust import TrustAnchors

WITHOUT_POLICY: Final = (
    "no policy was given, so this says only that the file agrees with itself, under keys that it names itself"
)


def open_bundle(data: bytes) -> Bundle:
    """The bundle in a file's bytes, strictly read; nothing of it is verified yet.

    Raises `BundleUnusable` or `NotCanonical`, with the offset or the place.
    """
    return bundle_format.read(data)


def verify(bundle: Bundle, *, anchors: Policy | None = None) -> Report:
    """What holds of a bundle, under the anchors of `anchors` or, without, under those that the bundle itself names.

    Never raises for what the bundle says; it is in the report.
    """
    return Verification(bundle, anchors).run()


class Verification:
    """One bundle looked at once; afterwards it also knows what of the evidence was needed."""

    def __init__(self, bundle: Bundle, policy: Policy | None) -> None:
        """Looks at nothing yet."""
        self.bundle = bundle
        self.policy = policy
        self.lines = Lines()
        self.directory: BundleDirectory | None = None
        self.room: Room | None = None
        self.context: Context | None = None
        self.used_tombstones: frozenset[int] = frozenset()
        self.are_anchors_other = False
        self.roots = LogRoots(bundle.origin, ())

    def run(self) -> Report:
        """The report of all steps."""
        lines, bundle = self.lines, self.bundle
        lines.verified("format", f"{bundle.format}, canonical: {counted(len(bundle.entries), 'entry')}")
        trusted = self._anchors()
        head = self._checkpoint()
        if bundle.timestamps or bundle.anchors.timestamp_roots:
            from api.verification import bundle_stamps  # a bundle without stamps does not wait for them

            bundle_stamps.check(bundle, head, self.policy, lines)
        found = bundle_log.read_entries(bundle, head, lines)
        bundle_log.check_streams(bundle, found, lines)
        try:
            self.room = Room(bundle)
        except LedgerError as error:
            lines.failed("disclosures", error)
        if trusted is not None:
            self._policies(found, trusted)
            try:
                windows = () if self.are_anchors_other else self.roots.windows()
                self.directory = BundleDirectory(trusted, bundle.certificates, bundle.status, windows)
            except (PkiError, ApiError) as error:
                lines.failed("credentials", error)
        if self.directory is not None and self.room is not None:
            self._statements(found, self.directory, self.room)
        return lines.report(f"request {bundle.fsr_id} of {bundle.origin}", caveat="" if self.policy else WITHOUT_POLICY)

    # Trust

    def _anchors(self) -> TrustAnchors | None:
        """The roots to believe: self-signed, and the verifier's own where it brought any, or reached from these."""
        lines, bundle = self.lines, self.bundle
        try:
            own = policy_of(bundle)
            named = own.anchors()
            vkey = note.parse_vkey(bundle.anchors.vkey)
        except ValueError:
            lines.failed("anchors", AnchorMismatch("a root of the bundle is not a certificate"))
            return None
        except (PkiError, LedgerError) as error:
            lines.failed("anchors", error)
            return None
        # Without the certificates of its first policy nothing is known of its roots, and the policy's line says so.
        with suppress(RootUnknown):
            entries = [(one.index, bytes(one.entry)) for one in bundle.entries]
            self.roots = log_roots.folded(bundle.origin, named.certificates, log_roots.of_entries(entries))
        if self.policy is None:
            shown = ", ".join(sha256(root)[:16] for root in bundle.anchors.roots)
            kind = "development " if own.development else ""
            lines.verified(
                "anchors",
                f"taken from the bundle itself, believe them only as far as it: {kind}roots {shown}, "
                f"log key {bundle.anchors.vkey.rpartition('+')[0]}",
            )
            return named
        return self._of_policy(self.policy, named, vkey)

    def _of_policy(self, policy: Policy, named: TrustAnchors, vkey: Verifier) -> TrustAnchors | None:
        """The log's roots, all of them the policy's or reached from these; and a log key of the policy's."""
        lines = self.lines
        try:
            trusted = policy.anchors()
            keys = policy.log_keys()
            own = {key for one in self.bundle.anchors.vkeys if (key := note.parse_vkey(one)).name == vkey.name} | {vkey}
        except (PkiError, LedgerError) as error:
            lines.failed("anchors", error)
            return None
        if own.isdisjoint(keys):
            expected = " or ".join(key.vkey for key in keys)
            other = "the bundle names another log key than the policy"
            lines.failed("anchors", AnchorMismatch(other, expected=expected, found=vkey.vkey))
        else:
            try:
                lines.verified("anchors", f"log key and {self._believed(named, trusted)}")
            except RootsUnreached:
                other = "the bundle names other roots than the policy"
                expected, found = _fingerprints(trusted), _fingerprints(named)
                lines.failed("anchors", AnchorMismatch(other, expected=expected, found=found))
            else:
                return TrustAnchors(named.roots, allow_development=policy.development)
        self.are_anchors_other = True
        return trusted

    def _believed(self, named: TrustAnchors, trusted: TrustAnchors) -> str:
        """In words, why the log's roots are believed; raises `RootsUnreached` if not all of them are.

        A policy may have more roots than the log: only the log's own admit a statement to it.
        """
        pins = {vouching.digest(root) for root in trusted.certificates}
        lives = self.roots.lives()
        if not lives and not {vouching.digest(root) for root in named.certificates} <= pins:
            raise RootsUnreached("a root that the policy does not have")
        reached = self.roots.reached(pins)
        own = [one for one in reached if one.digest in pins] or named.roots
        more = len(reached) - len(own)
        words = f"{counted(len(own), 'root')} are those of the policy"
        return f"{words}; {counted(more, 'root')} more by the word of these" if lives and more else words

    def _checkpoint(self) -> Checkpoint | None:
        try:
            opened = bundle_log.open_checkpoint(self.bundle, self.policy)
        except (LedgerError, ApiError) as error:
            self.lines.failed("checkpoint", error)
            return None
        head = opened.checkpoint
        size = counted(head.size, "entry")
        self.lines.verified("checkpoint", f"signed by the log: {size}, root {head.root.hex()[:16]}")
        if self.bundle.anchors.vkeys or (self.policy is not None and self.policy.witnesses):
            self.lines.attempt("witnesses", lambda: bundle_log.witnessed(opened, self.policy))
        return head

    def _policies(self, found: Sequence[Read], trusted: TrustAnchors) -> None:
        """The log's policy names the very roots that are trusted here; those that followed are lines of their own."""
        roots = sorted(vouching.digest(root) for root in trusted.certificates)
        for life in self.roots.lives():
            if life.by is not None:
                words = f"{life.digest[:16]} counts from {life.from_ms} on, by the word of {life.by[:16]}"
                self.lines.verified("roots", words, index=life.index)
            if life.until_ms is not None:
                self.lines.verified("roots", f"{life.digest[:16]} counts until {life.until_ms}")
        for one in found:
            if one.entry.type != PolicyAdopted.TYPE:
                continue
            if self.lines.attempt("policy", partial(_policy, one, roots), index=one.index):
                succession.tell(_adopted(one), self.policy, self.lines, index=one.index)

    # Statements

    def _statements(self, found: Sequence[Read], directory: BundleDirectory, room: Room) -> None:
        lines = self.lines
        told = bundle_statements.open_statements(found, self.bundle.origin, directory, lines)
        lines.attempt("attachments", lambda: f"{room.require_attachments()} documents have their digests")
        tombstones = bundle_statements.tombstones(told)
        opened = 0
        for position, one in enumerate(self.bundle.erasures):
            try:
                room.open_erasure(position, tombstones)
                opened += 1
            except (LedgerError, ApiError) as error:
                lines.failed("erasures", error, position=position, handle=one.handle)
        if opened:
            lines.verified("erasures", f"{opened} digests fell under {len(tombstones)} tombstones of the log")
        context = self.context = Context(
            origin=self.bundle.origin, directory=directory, room=room, lines=lines, roots=self.roots
        )
        bundle_replay.replay(context, told)
        self._surplus(told, directory, room)

    def _surplus(self, told: Sequence[Told], directory: BundleDirectory, room: Room) -> None:
        """Nothing is in the bundle that nothing needed."""
        certificates, crls = directory.unused()
        unused = {"certificates": certificates, "status": crls, **room.unused()}
        explained = {
            one.index
            for one in told
            if isinstance(one.statement.record, ErasureExecuted) and one.statement.record.handle in room.used_handles
        }
        self.used_tombstones = frozenset(explained)
        positions = {entry.index: position for position, entry in enumerate(self.bundle.entries)}
        unused["entries"] = [
            positions[one.index]
            for one in told
            if isinstance(one.statement.record, ErasureExecuted) and one.index not in explained
        ]
        if self.are_anchors_other and any(unused.values()):
            # Under other anchors nothing that the bundle brings along is needed; its list would hide the cause.
            self.lines.failed("surplus", EvidenceSurplus("not looked at, because the anchors of trust are others"))
            return
        for name, places in unused.items():
            for position in places:
                error = EvidenceSurplus("nothing needs it, so a change of it would not be noticed")
                self.lines.failed("surplus", error, list=name, position=position)
        if not any(unused.values()):
            self.lines.verified("surplus", "everything in the bundle was needed")


def _adopted(one: Read) -> PolicyAdopted:
    adopted = statements.parse_statement(one.entry.stmt).record
    if not isinstance(adopted, PolicyAdopted):
        raise EvidenceForeign("not a policy", expected=PolicyAdopted.TYPE)
    return adopted


def _policy(one: Read, roots: Sequence[str]) -> str:
    adopted = _adopted(one)
    if sorted(adopted.anchors) != list(roots):
        raise AnchorMismatch(
            "the log's policy names other roots",
            expected=", ".join(root[:16] for root in roots),
            found=", ".join(root[:16] for root in sorted(adopted.anchors)),
        )
    return f"the log's policy names the same {counted(len(roots), 'root')}, and {adopted.rules}"


def _fingerprints(anchors: TrustAnchors) -> str:
    """The roots as a person compares them: the beginnings of the SHA-256 of their DER."""
    return ", ".join(sorted(sha256(trust.encoded(root))[:16] for root in anchors.certificates))
