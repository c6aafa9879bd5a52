"""Persons speak through the port: their own signed words go to the vault, the port's statement of them to the log.

An EV user's certificate and signature are personal data, so they are never entries. The port verifies them, signs a
record whose `evu_statement` is a salted digest of them, and rules see the person only as verified evidence. It is the
port's key that speaks, so nothing but a person's own right is relayed: else a person would use the port's.
"""

import secrets
from collections.abc import Mapping

import msgspec

from api import wire
from api.flows.desk import Desk, Opened
from api.flows.errors import NotConcerned, TypeNotTaken
from api.flows.memory import Memory
from api.principals import Principal
from ledger.records.actor import Role
from ledger.records.contracts import ContractAccepted, ContractTerminated
from ledger.records.opt import OptActor, OptDecided, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, Scope
from ledger.records.record import Record
from ledger.rules.fact import Evidence


async def opt(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's decision stands in the log as the port's statement; or a refusal entry says why not."""
    decided = opened.whole
    if not isinstance(decided, OptDecided):
        raise TypeNotTaken("persons decide about participations", expected=OptDecided.TYPE)
    if decided.actor is not OptActor.EVU:
        raise NotConcerned("no right of yours")
    if decided.participation not in memory.own_in(decided.fsr_id, principal.party):
        raise NotConcerned("no participation of yours")
    now_ms = desk.clock.now_ms()
    relayed = OptDecided(
        opt_id=f"opt-{secrets.token_hex(8)}",
        fsr_id=decided.fsr_id,
        revision=decided.revision,
        participation=decided.participation,
        actor=decided.actor,
        choice=decided.choice,
        reason=decided.reason,
        decided_at_ms=now_ms,
        evu_statement=opened.statement.raw,
    )
    # What was decided is about whose session it is; the words are about who said them, perhaps a delegate.
    owner = memory.person_of(decided.participation) or principal.party
    return await _say(desk, opened, principal, relayed, owner)


async def accept(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's acceptance of an offer stands in the log as the port's statement."""
    agreed = opened.whole
    if not isinstance(agreed, ContractAccepted):
        raise TypeNotTaken("persons accept offers", expected=ContractAccepted.TYPE)
    offer = memory.offer(agreed.fsc_id)
    if offer is None or offer.evu not in {principal.party, *memory.rights.grantors(principal.party, Scope.CONTRACT)}:
        raise NotConcerned("no contract of yours")
    relayed = ContractAccepted(
        fsc_id=agreed.fsc_id,
        version=agreed.version,
        offer_sha256=agreed.offer_sha256,
        evu_statement=opened.statement.raw,
    )
    return await _say(desk, opened, principal, relayed)


async def withdraw(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's withdrawal of consent ends the contract at once."""
    ended = opened.whole
    if not isinstance(ended, ContractTerminated):
        raise TypeNotTaken("persons end their contracts", expected=ContractTerminated.TYPE)
    offer = memory.offer(ended.fsc_id)
    holders = {principal.party, *memory.rights.grantors(principal.party, Scope.CONTRACT)}
    if offer is None or offer.evu not in holders:
        raise NotConcerned("no contract of yours")
    return await _say(desk, opened, principal, _with_words(ended, opened))


async def delegate(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's delegation, or its end, stands in the log as the port's statement; nobody is named there."""
    said = opened.whole
    if isinstance(said, DelegationGiven):
        if said.grantor_role is not Role.EVU or said.evu not in (msgspec.UNSET, principal.party):
            raise NotConcerned("no right of yours")
        relayed = _with_words(said, opened, evu=principal.party)
        # Who the delegate is, is about the delegate, who is then known to the vault by that name.
        delegate_id = said.evu_delegate if isinstance(said.evu_delegate, str) else principal.party
        return await _say(desk, opened, principal, relayed, others={"evu_delegate": delegate_id})
    if not isinstance(said, DelegationRevoked):
        raise TypeNotTaken("persons delegate", expected=DelegationGiven.TYPE)
    known = memory.rights.delegation(said.delegation_id)
    if known is None or principal.party not in (known.evu, known.evu_delegate):
        raise NotConcerned("no delegation of yours")
    return await _say(desk, opened, principal, _with_words(said, opened))


async def schedule(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """What the person wants of requests to come, or its end, stands in the log as the port's statement."""
    said = opened.whole
    if isinstance(said, OptScheduled):
        if said.actor is not OptActor.EVU or said.evu not in (msgspec.UNSET, principal.party):
            raise NotConcerned("no right of yours")
        return await _say(desk, opened, principal, _with_words(said, opened, evu=principal.party))
    if not isinstance(said, OptScheduleEnded):
        raise TypeNotTaken("persons schedule", expected=OptScheduled.TYPE)
    known = memory.rights.schedule(said.schedule_id)
    if known is None or known.evu not in {principal.party, *memory.rights.grantors(principal.party, Scope.OPT)}:
        raise NotConcerned("no schedule of yours")
    return await _say(desk, opened, principal, _with_words(said, opened))


def _with_words(what: Record, opened: Opened, **changes: str) -> Record:
    """The port's statement of what the person said, which commits to the person's own."""
    return msgspec.structs.replace(what, sd=(), evu_statement=opened.statement.raw, **changes)


async def _say(
    desk: Desk,
    opened: Opened,
    principal: Principal,
    relayed: Record,
    owner: str | None = None,
    others: Mapping[str, str] | None = None,
) -> wire.Accepted:
    """The relay is in the log; the same words are relayed once, and the answer is the first time's.

    Its members are about `owner`, or whom `others` says by member; the words are about who said them.
    """
    whose = {"evu_statement": principal.party, **(others or {})}
    before = desk.said(_jti(desk, opened))
    if before is not None:
        return before
    return await desk.say(
        relayed,
        opened.statement.claims.stream,
        subject_of=lambda _part, name: whose.get(name, owner or principal.party),
        evidence=_evidence(opened),
        papers=_papers(opened, principal),
        jti=_jti(desk, opened),
    )


def _evidence(opened: Opened) -> Evidence:
    return Evidence(person=opened.actor, person_statement=opened.statement)


def _papers(opened: Opened, principal: Principal) -> list[wire.SubmittedAttachment]:
    """The certificate that proves the person's signature goes where the signature goes."""
    return [wire.SubmittedAttachment(data=opened.certificate, subject=principal.party)]


def _jti(desk: Desk, opened: Opened) -> str:
    """The same words are relayed once. Only the vault's key leads from a person's words to this id."""
    return desk.tag("relay", opened.statement.raw)
