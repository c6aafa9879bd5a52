"""Persons speak through the port: their own signed words go to the vault, the port's statement of them to the log.

An EV user's certificate and signature are personal data, so they are never entries. The port verifies them, signs a
record whose `evu_statement` is a salted digest of them, and rules see the person only as verified evidence.
"""

import secrets

from api import wire
from api.flows.desk import Desk, Opened
from api.flows.errors import NotConcerned, TypeNotTaken
from api.flows.memory import Memory
from api.principals import Principal
from ledger.records.contracts import ContractAccepted
from ledger.records.opt import OptDecided
from ledger.rules.fact import Evidence


async def opt(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's decision stands in the log as the port's statement; or a refusal entry says why not."""
    decided = opened.whole
    if not isinstance(decided, OptDecided):
        raise TypeNotTaken("persons decide about participations", expected=OptDecided.TYPE)
    if (decided.fsr_id, decided.participation) not in memory.participations_of(principal.party):
        raise NotConcerned("no participation of yours")
    before = desk.said(_jti(desk, opened))
    if before is not None:
        return before
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
    return await desk.say(
        relayed,
        f"fsr/{decided.fsr_id}",
        subject_of=lambda _part, _name: principal.party,
        evidence=_evidence(opened),
        papers=_papers(opened, principal),
        jti=_jti(desk, opened),
    )


async def accept(desk: Desk, memory: Memory, opened: Opened, principal: Principal) -> wire.Accepted:
    """The person's acceptance of an offer stands in the log as the port's statement."""
    agreed = opened.whole
    if not isinstance(agreed, ContractAccepted):
        raise TypeNotTaken("persons accept offers", expected=ContractAccepted.TYPE)
    offer = memory.offer(agreed.fsc_id)
    if offer is None or offer.evu != principal.party:
        raise NotConcerned("no contract of yours")
    before = desk.said(_jti(desk, opened))
    if before is not None:
        return before
    relayed = ContractAccepted(
        fsc_id=agreed.fsc_id,
        version=agreed.version,
        offer_sha256=agreed.offer_sha256,
        evu_statement=opened.statement.raw,
    )
    return await desk.say(
        relayed,
        f"fsc/{agreed.fsc_id}",
        subject_of=lambda _part, _name: principal.party,
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
