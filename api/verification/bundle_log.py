"""A bundle's entries as part of the log: checkpoint, inclusion, whole and linked streams."""

from collections.abc import Sequence

import msgspec

from api.verification.bundle_errors import CheckpointForeign, EntryForeign, StreamMissing
from api.verification.bundle_format import Bundle
from api.verification.bundle_policy import Policy
from api.verification.report import Lines, Status, counted
from ledger import verify
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement as statements
from ledger.records.entry import Entry
from ledger.records.log import POLICIES
from ledger.records.privacy import ErasureExecuted
from ledger.records.requests import RequestIssued
from ledger.tlog import checkpoint, note
from ledger.tlog import policy as policies
from ledger.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from ledger.tlog.notekeys import KeyKind
from ledger.verify import ProvenEntry

OPEN_CODE = "verify/stream-open"


class Read(msgspec.Struct, frozen=True):
    """An entry that could be read."""

    index: int
    data: bytes
    entry: Entry


def open_checkpoint(bundle: Bundle, policy: Policy | None) -> OpenedCheckpoint:
    """The log's signed tree head, with no line in the note that is not checked; raises what is wrong with it.

    Every line is checked under the keys that the bundle names; with a policy, the log's and the witnesses' signatures
    count only under the keys of the policy.
    """
    signed = bundle.checkpoint.encode()
    named = [note.parse_vkey(vkey) for vkey in (bundle.anchors.vkey, *bundle.anchors.vkeys)]
    opened = checkpoint.open_checkpoint(signed, bundle.origin, named)
    lines = "".join(line.line() for line in opened.note.verified)
    if opened.note.unverified or opened.note.text + "\n" + lines != bundle.checkpoint:
        raise CheckpointForeign(
            "lines that nobody here can check, or a line twice",
            expected=f"{len(named)} at most",
            found=len(note.parse(signed).signatures),
        )
    if len(opened.note.verified) != len(named):
        raise CheckpointForeign(
            "a key is named that signed nothing", expected=len(opened.note.verified), found=len(named)
        )
    if policy is None:
        return opened
    cosigners = [key for key in named if key.kind is KeyKind.COSIGNATURE_V1]
    return checkpoint.open_checkpoint(signed, bundle.origin, list(dict.fromkeys([*policy.verifiers(), *cosigners])))


def witnessed(opened: OpenedCheckpoint, policy: Policy | None) -> str:
    """Who cosigned, in words; raises QuorumMissing where the policy asks for more."""
    asked = None if policy is None else policy.witnessing()
    if asked is None:
        names = ", ".join(sorted({line.name for line in opened.cosignatures}))
        return f"cosigned by {names}, under keys that nobody here vouches for" if names else "nobody cosigned"
    found = asked.require_quorum(opened)
    quorum = "no cosignature is needed" if asked.quorum is None else f"the quorum {policies.shown(asked.quorum)} is met"
    names = ", ".join(map(policies.shown, found))
    return f"cosigned by {names}: {quorum}" if names else quorum


def read_entries(bundle: Bundle, head: Checkpoint | None, lines: Lines) -> list[Read]:
    """Every entry that can be read, in order of the log, whether or not it is in the tree; the lines say which are."""
    found, included = [], 0
    for position, one in enumerate(bundle.entries):
        data = bytes(one.entry)
        where: dict[str, str | int] = {"index": one.index, "position": position}
        try:
            made = entries.decode(data)
        except LedgerError as error:
            lines.failed("entry", error, **where)
            continue
        where |= {"stream": made.stream, "seq": made.seq}
        found.append(Read(one.index, data, made))
        if head is None:
            continue
        proof = tuple(bytes.fromhex(one) for one in one.proof)
        try:
            verify.verify_inclusions([ProvenEntry(one.index, data, proof)], size=head.size, root=head.root)
        except LedgerError as error:
            lines.failed("inclusion", error, **where)
        else:
            included += 1
        if made.log != bundle.origin:
            lines.failed("inclusion", EntryForeign("of another log", expected=bundle.origin, found=made.log), **where)
    if head is not None and included:
        lines.verified(
            "inclusion", f"{included} of {counted(len(bundle.entries), 'entry')} are in the tree of {head.size}"
        )
    return found


def by_stream(found: Sequence[Read]) -> dict[str, list[Read]]:
    """The entries of each stream, in order."""
    streams: dict[str, list[Read]] = {}
    for one in found:
        streams.setdefault(one.entry.stream, []).append(one)
    return streams


def policy_streams(found: Sequence[Read]) -> set[str]:
    """The streams of the policies that the entries say they stand under."""
    named = {one.entry.pol for one in found}
    return {one.entry.stream for one in found if one.index in named and one.entry.type in POLICIES}


def required_streams(fsr_id: str, found: Sequence[Read]) -> set[str]:
    """The request's own stream and those that it rests on, as the request names them."""
    wanted = {f"fsr/{fsr_id}"} | policy_streams(found)
    for one in found:
        if one.entry.stream == f"fsr/{fsr_id}" and one.entry.type == RequestIssued.TYPE:
            try:
                issued = statements.parse_statement(one.entry.stmt).record
            except LedgerError:
                continue
            if isinstance(issued, RequestIssued):
                wanted |= {f"site/{issued.site_id}", *(f"fsc/{fsc_id}" for fsc_id in issued.fsc_ids)}
    return wanted


def check_streams(bundle: Bundle, found: Sequence[Read], lines: Lines) -> None:
    """Each stream is there from its first entry on, linked, and ends where it says; no other entries stand between."""
    streams = by_stream(found)
    wanted = required_streams(bundle.fsr_id, found)
    for name in sorted(wanted - set(streams)):
        lines.failed("streams", StreamMissing("a stream that the request rests on is missing", expected=name))
    for name in sorted(set(streams) & wanted):
        _check_stream(name, streams[name], name == f"fsr/{bundle.fsr_id}", lines)
    for name in sorted(set(streams) - wanted):
        for one in streams[name]:
            if one.entry.type != ErasureExecuted.TYPE:
                lines.failed("streams", EntryForeign("nothing here rests on it"), **verify.place(one.index, one.entry))
    _check_policies(found, lines)


def _check_stream(name: str, stream: Sequence[Read], is_request: bool, lines: Lines) -> None:
    try:
        chain = verify.verify_chain([(one.index, one.data) for one in stream])
        ends = verify.completeness(chain)
        if ends.first_seq != 1:
            raise verify.SeqGap("the stream's beginning is missing", expected=1, found=ends.first_seq, stream=name)
    except LedgerError as error:
        lines.failed("streams", error, stream=name)
        return
    lines.verified("streams", f"whole from 1 to {ends.last_seq}, linked", stream=name)
    if ends.closed_n is not None:
        lines.verified("completeness", f"closed after {counted(ends.closed_n, 'entry')}: none is hidden", stream=name)
    elif is_request:
        detail = f"still open after {counted(ends.last_seq, 'entry')}: later ones may exist"
        lines.add("completeness", Status.UNDECIDED, OPEN_CODE, detail, stream=name)


def _check_policies(found: Sequence[Read], lines: Lines) -> None:
    """Each entry stands under the policy in force before it; the first one is its own."""
    policies = [one.index for one in found if one.entry.type in POLICIES]
    wrong = 0
    for one in found:
        in_force = max((index for index in policies if index < one.index), default=min(policies, default=None))
        if one.entry.pol != in_force:
            wrong += 1
            error = StreamMissing("the entry names another policy", expected=in_force, found=one.entry.pol)
            lines.failed("policy", error, **verify.place(one.index, one.entry))
    if found and not wrong:
        lines.verified("policy", f"{counted(len(found), 'entry')} under a policy that is here")
