"""Verifying one request offline: from a file to a report, with nothing but the file and what the verifier trusts.

Every step is taken even after one has failed, as far as that makes sense, and names what and where.
"""

from collections.abc import Sequence
from functools import partial

from api.errors import ApiError
from api.verification import bundle_format, bundle_log, bundle_replay, bundle_statements
from api.verification.bundle_context import Context
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceForeign, EvidenceSurplus
from api.verification.bundle_format import Bundle, sha256
from api.verification.bundle_log import Read
from api.verification.bundle_policy import Policy, policy_of
from api.verification.bundle_room import Room
from api.verification.bundle_statements import Told
from api.verification.errors import AnchorMismatch
from api.verification.report import Lines, Report
from ledger.errors import LedgerError
from ledger.records import statement as statements
from ledger.records.log import PolicyAdopted
from ledger.records.privacy import ErasureExecuted
from ledger.tlog import note
from ledger.tlog.checkpoint import Checkpoint
from pki.errors import PkiError
from pki.trust import TrustAnchors


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
        self.used_tombstones: frozenset[int] = frozenset()

    def run(self) -> Report:
        """The report of all steps."""
        lines, bundle = self.lines, self.bundle
        lines.verified("format", f"{bundle.format}, canonical: {len(bundle.entries)} entries")
        trusted = self._anchors()
        head = self._checkpoint()
        found = bundle_log.read_entries(bundle, head, lines)
        bundle_log.check_streams(bundle, found, lines)
        try:
            self.room = Room(bundle)
        except LedgerError as error:
            lines.failed("disclosures", error)
        if trusted is not None:
            self._policies(found, trusted)
            try:
                self.directory = BundleDirectory(trusted, bundle.certificates, bundle.status)
            except (PkiError, ApiError) as error:
                lines.failed("credentials", error)
        if self.directory is not None and self.room is not None:
            self._statements(found, self.directory, self.room)
        return lines.report(f"request {bundle.fsr_id} of {bundle.origin}")

    # Trust

    def _anchors(self) -> TrustAnchors | None:
        """The roots to believe: self-signed, and the verifier's own where it brought any."""
        lines, bundle = self.lines, self.bundle
        try:
            own = policy_of(bundle)
            named = own.anchors()
            note.parse_vkey(bundle.anchors.vkey)
        except ValueError:
            lines.failed("anchors", AnchorMismatch("a root of the bundle is not a certificate"))
            return None
        except (PkiError, LedgerError) as error:
            lines.failed("anchors", error)
            return None
        if self.policy is None:
            shown = ", ".join(sha256(root)[:16] for root in bundle.anchors.roots)
            kind = "development " if own.development else ""
            lines.verified(
                "anchors",
                f"taken from the bundle itself, believe them only as far as it: {kind}roots {shown}, "
                f"log key {bundle.anchors.vkey.rpartition('+')[0]}",
            )
            return named
        try:
            trusted = self.policy.anchors()
        except PkiError as error:
            lines.failed("anchors", error)
            return None
        if bundle.anchors.vkey != self.policy.vkey:
            other = AnchorMismatch("the bundle names another log key than the policy", expected=self.policy.vkey)
            lines.failed("anchors", other)
        elif sorted(named.roots) != sorted(trusted.roots):
            lines.failed("anchors", AnchorMismatch("the bundle names other roots than the policy"))
        else:
            lines.verified("anchors", f"log key and {len(trusted.roots)} roots are those of the policy")
        return trusted

    def _checkpoint(self) -> Checkpoint | None:
        vkey = self.bundle.anchors.vkey if self.policy is None else self.policy.vkey
        try:
            head = bundle_log.open_checkpoint(self.bundle, vkey)
        except (LedgerError, ApiError) as error:
            self.lines.failed("checkpoint", error)
            return None
        self.lines.verified("checkpoint", f"signed by the log: {head.size} entries, root {head.root.hex()[:16]}")
        return head

    def _policies(self, found: Sequence[Read], trusted: TrustAnchors) -> None:
        """The log's policy admits statements under the very roots that are trusted here."""
        roots = sorted(sha256(root.tbs_certificate_bytes) for root in trusted.certificates)
        for one in found:
            if one.entry.type != PolicyAdopted.TYPE:
                continue
            self.lines.attempt("policy", partial(_policy, one, roots), index=one.index)

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
        context = Context(origin=self.bundle.origin, directory=directory, room=room, lines=lines)
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
        for name, places in unused.items():
            for position in places:
                error = EvidenceSurplus("nothing needs it, so a change of it would not be noticed")
                self.lines.failed("surplus", error, list=name, position=position)
        if not any(unused.values()):
            self.lines.verified("surplus", "everything in the bundle was needed")


def _policy(one: Read, roots: Sequence[str]) -> str:
    adopted = statements.parse_statement(one.entry.stmt).record
    if not isinstance(adopted, PolicyAdopted):
        raise EvidenceForeign("not a policy", expected=PolicyAdopted.TYPE)
    if sorted(adopted.anchors) != list(roots):
        raise AnchorMismatch("the log's policy names other roots", expected=len(roots), found=len(adopted.anchors))
    return f"the log's policy names the same {len(roots)} roots, and {adopted.rules}"
