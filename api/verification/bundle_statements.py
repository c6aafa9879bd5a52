"""Who said what: every statement of a bundle under its signer's credential, as of the moment it was recorded."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from api.errors import ApiError
from api.verification.actors import Directory
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import MandateUnproven, RelayOther, SubmitterOther
from api.verification.bundle_log import Read
from api.verification.bundle_room import Room
from api.verification.report import Lines
from api.verification.roots_in_time import RootNotInForce
from ledger import verify
from ledger.errors import LedgerError
from ledger.records import jws, registry, statement
from ledger.records.actor import Actor, Role
from ledger.records.entry import Entry
from ledger.records.privacy import ErasureExecuted
from ledger.records.record import Record
from ledger.records.requests import DirectiveGiven, RequestIssued
from ledger.records.statement import Statement
from ledger.rules.fact import OpenedDirective
from pki.errors import PkiError
from pki.path import NotYetValid
from pki.roles import Role as PkiRole
from pki.status import StatusIndeterminate

COARSE_MS: Final = 15 * 60_000
"""A coarse time is the beginning of the quarter of an hour in which something was recorded."""


class Told(msgspec.Struct, frozen=True):
    """One entry with its statement; `is_authentic` where its actor verifiably signed it."""

    index: int
    entry: Entry
    statement: Statement
    actor: Actor
    is_authentic: bool

    @property
    def where(self) -> dict[str, str | int]:
        """What a line names it by."""
        return verify.place(self.index, self.entry)


def open_statements(found: Sequence[Read], origin: str, directory: BundleDirectory, lines: Lines) -> list[Told]:
    """Every statement that can be read; the lines say which are not their signers' own words."""
    told = []
    for one in found:
        where = verify.place(one.index, one.entry)
        try:
            parsed = statement.parse_statement(one.entry.stmt)
        except LedgerError as error:
            lines.failed("statement", error, **where)
            continue
        try:
            actor = signer_of(directory, parsed.header.x5t, one.entry)
            opened = statement.authenticate(parsed, actor, audience=origin)
            verify.require_agreement(one.index, one.entry, opened)
            _require_submitter(one.entry, actor)
            _require_seen(one, opened)
        except (LedgerError, PkiError, ApiError) as error:
            lines.failed("statement", error, **where)
            told.append(Told(one.index, one.entry, parsed, _claimed(parsed, one.entry), is_authentic=False))
        else:
            told.append(Told(one.index, one.entry, opened, actor, is_authentic=True))
    good = sum(1 for one in told if one.is_authentic)
    if good:
        signers = len({one.actor.tbs_sha256 for one in told if one.is_authentic})
        lines.verified("statement", f"{good} statements are their signers' own words, {signers} credentials")
    return told


def tombstones(told: Sequence[Told]) -> dict[str, ErasureExecuted]:
    """The authentic tombstones by handle."""
    return {
        one.statement.record.handle: one.statement.record
        for one in told
        if one.is_authentic and isinstance(one.statement.record, ErasureExecuted)
    }


def open_mandate(directory: BundleDirectory, issued: RequestIssued, at_ms: int) -> OpenedDirective:
    """The directive behind a mandate, signed by a system operator's credential that was good at `at_ms`."""
    if issued.mandate is None:
        raise MandateUnproven("a mandatory request without a mandate")
    parsed = statement.parse_statement(issued.mandate.directive)
    actor = directory.actor(parsed.header.x5t, at_ms, roles=(PkiRole.SO,))
    opened = statement.authenticate(parsed, actor)
    if not isinstance(opened.record, DirectiveGiven):
        raise MandateUnproven("the mandate carries something else", expected=DirectiveGiven.TYPE)
    return OpenedDirective(opened.record, actor)


def open_person(
    directory: BundleDirectory, room: Room, told: Told, whole: Record, origin: str
) -> tuple[Actor, Statement]:
    """The person whose words are relayed, and those words, verified under the person's own certificate.

    Raises `EvidenceErased` or `EvidenceAbsent` where they cannot be shown, `RelayOther` where they say something else.
    """
    room.require(whole, "evu_statement")
    raw = getattr(whole, "evu_statement", msgspec.UNSET)
    if not isinstance(raw, str):
        raise RelayOther("the relay holds no statement")
    parsed = statement.parse_statement(raw)
    der = room.attachment(jws.decode_base64url(parsed.header.x5t).hex(), "the person's certificate")
    x5t = directory.add(der)
    decided = getattr(whole, "decided_at_ms", msgspec.UNSET)
    if isinstance(decided, int):
        actor = directory.actor(x5t, decided, roles=(PkiRole.EVU,))
    else:
        actor = signer_of(directory, x5t, told.entry, roles=(PkiRole.EVU,))
    opened = statement.authenticate(parsed, actor, audience=origin)
    _require_same_words(opened, told.statement, whole)
    return actor, opened


def _require_same_words(said: Statement, relay: Statement, whole: Record) -> None:
    """The person said it for this log and stream, and said the same."""
    if said.claims.stream != relay.claims.stream or type(said.record) is not type(whole):
        raise RelayOther("it was said of something else", expected=relay.claims.stream, found=said.claims.stream)
    members = ("fsr_id", "revision", "participation", "actor", "choice", "fsc_id", "version", "offer_sha256")
    for member in members:
        if getattr(said.record, member, None) != getattr(whole, member, None):
            raise RelayOther("the person said otherwise", expected=f"the same {member}")


def signer_of(directory: Directory, x5t: str, entry: Entry, *, roles: Collection[PkiRole] | None = None) -> Actor:
    """Who signed, good when it was recorded; an entry with a coarse time was recorded within the quarter of an hour."""
    try:
        return directory.actor(x5t, entry.rec, roles=roles)
    except (NotYetValid, StatusIndeterminate, RootNotInForce):
        if not registry.kind(entry.type, entry.v).COARSE:
            raise
        return directory.actor(x5t, entry.rec + COARSE_MS, roles=roles)


def _require_submitter(entry: Entry, actor: Actor) -> None:
    if (entry.sub.party, entry.sub.role) != (actor.party, actor.role.value):
        raise SubmitterOther(
            "who handed it in is not who signed it",
            expected=f"{actor.party} as {actor.role}",
            found=f"{entry.sub.party} as {entry.sub.role}",
        )


def _require_seen(one: Read, opened: Statement) -> None:
    """Where the actor said which entry it saw last, that is the one before."""
    seen = opened.claims.exp_prev
    if seen is not None and seen != one.entry.prev:
        raise verify.StatementDiffers("the actor had seen another entry last", expected=seen, found=one.entry.prev)


def _claimed(parsed: Statement, entry: Entry) -> Actor:
    """Whom an unproven statement names, so that the rules can go on; nobody vouches for it."""
    role = Role(entry.sub.role) if entry.sub.role in Role.__members__ else Role.OPS
    return Actor(party=parsed.claims.iss, role=role, key_spki=b"", x5t=parsed.header.x5t, tbs_sha256="")
