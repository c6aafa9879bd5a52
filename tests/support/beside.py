"""What stands beside the requests, played by everybody: claims, contracts that rest, forecasts, sessions, schedules."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ledger.records.actor import Actor, Role
from ledger.records.contracts import (
    ContractOffered,
    ContractResumed,
    ContractSuspended,
    ContractTerminated,
    ContractWithdrawn,
    CountBucket,
    HoldersAnswered,
    HoldersAsked,
    SuspensionCause,
    TerminationReason,
)
from ledger.records.embedded import EmbeddedActed, EmbeddedFunction, GridEvent
from ledger.records.opt import OptActor, OptScheduleEnded
from ledger.records.parties import PartyDeclared
from ledger.records.record import Record
from ledger.records.requests import SetpointBatch, SetpointStepMoved
from ledger.records.services import Service
from ledger.records.sites import (
    ClaimKind,
    ClaimRegistered,
    ClaimWithdrawn,
    InstallationLinked,
    SessionMirrored,
    SiteAvailable,
    Withdrawal,
)
from ledger.records.work import Verdict
from ledger.rules.fact import Fact
from ledger.rules.streams import stream_of
from tests.support.acts import scheduled
from tests.support.parameters import at
from tests.support.rulebook import (
    AUDITOR,
    AURORA,
    BOREALIS,
    DRIVER,
    EVSES,
    NORTHGATE,
    SITE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    acceptance,
    contract,
    directive,
)

EVERYONE = (AURORA, BOREALIS, NORTHGATE, SOUTHGATE, VOLTWISE, AUDITOR, DRIVER)


def claim(claim_id: str) -> ClaimRegistered:
    """An EVSE may take part in fast frequency response, all day."""
    return ClaimRegistered(
        claim_id=claim_id,
        site_id=SITE,
        subject=ClaimKind.EVSE,
        standard="EN 50549-1:2019",
        functions=("FFR",),
        region="FI",
        issuer="lab",
        not_before_ms=at("00:00"),
        not_after_ms=at("23:00"),
    )


def link(claim_id: str) -> InstallationLinked:
    """An EVSE is of a type, all day."""
    return InstallationLinked(
        claim_id=claim_id,
        site_id=SITE,
        subject=ClaimKind.EVSE,
        issuer="lab",
        not_before_ms=at("00:00"),
        not_after_ms=at("23:00"),
    )


def withdrawal(claim_id: str) -> ClaimWithdrawn:
    """Nobody looks at it any more."""
    return ClaimWithdrawn(claim_id=claim_id, site_id=SITE, reason=Withdrawal.THING_CHANGED)


def _acted(act_id: str) -> EmbeddedActed:
    return EmbeddedActed(
        act_id=act_id,
        site_id=SITE,
        function=EmbeddedFunction.FREQUENCY_WATT,
        event=GridEvent.UNDER_FREQUENCY,
        verdict=Verdict.INFORMATIVE,
        algorithm="EMBEDDED_LOG/1",
        n=240,
        dt_ms=1000,
    )


def _question(query_id: str, now_ms: int) -> HoldersAsked:
    return HoldersAsked(
        query_id=query_id, site_id=SITE, service=Service.CONGESTION, start_at_ms=now_ms, end_at_ms=now_ms + 3_600_000
    )


# What stands beside the requests: how it is made, by a number and the time, and who alone may say it.
OTHERS: Final[dict[str, tuple[Callable[[int, int], Record], tuple[Actor, ...]]]] = {
    "forecast": (
        lambda number, now_ms: SiteAvailable(
            site_id=SITE, from_ms=now_ms, until_ms=now_ms + number * 600_000, up_w=number, down_w=0, duration_s=60
        ),
        (NORTHGATE,),
    ),
    "session": (
        lambda number, _: SessionMirrored(
            session_id=f"s-{number}", site_id=SITE, evse_id=EVSES[number], evu="driver", discharge_allowed=True
        ),
        (NORTHGATE, VOLTWISE),
    ),
    "embedded": (lambda number, _: _acted(f"act-{number}"), (NORTHGATE, VOLTWISE)),
    "schedule": (lambda number, _: scheduled(f"sch-{number}", OptActor.CSO), (NORTHGATE,)),
    "schedule ended": (lambda number, _: OptScheduleEnded(schedule_id=f"sch-{number}"), (NORTHGATE,)),
    "declared": (lambda number, _: PartyDeclared(party_id="aurora", version=number, role=Role.FO), (AURORA,)),
    "asked": (lambda number, now_ms: _question(f"q-{number}", now_ms), (AURORA, BOREALIS)),
    "answered": (
        lambda number, _: HoldersAnswered(query_id=f"q-{number}", count=CountBucket.UNDER_5),
        (NORTHGATE,),
    ),
    # Neither request is a dynamic setpoint, so nobody moves one.
    "setpoints": (
        lambda number, now_ms: SetpointBatch(
            fsr_id=f"fsr-{number}", batch=1, steps=(SetpointStepMoved(at_ms=now_ms, power_w=0),)
        ),
        (),
    ),
    # A directive travels inside a request.
    "directive": (lambda _number, _now_ms: directive(), ()),
}


class Beside(RuleBasedStateMachine):
    """The part of a day's play that is no request's: fsc-1 and fsc-2 are signed, fsc-3 comes and goes."""

    judge: Judge

    def tell(self, what: Record, by: Actor, liar: Actor | None = None, **more: Any) -> bool:
        """Somebody says it; True if it was admitted."""
        raise AssertionError("a machine that plays a day says how")

    def said(self, *kinds: type[Record]) -> list[Fact]:
        """What was admitted so far, of these kinds."""
        return [fact for fact in self.judge.facts if isinstance(fact.statement.record, kinds)]

    def was_said(self, beside: set[str]) -> None:
        """Honestly, in the morning; an end or an answer has something before it or is refused."""
        for which, (make, may) in OTHERS.items():
            if which in beside:
                follows = {"schedule ended": "schedule", "answered": "asked"}.get(which)
                what = make(1, self.judge.now_ms)
                was_taken = self.tell(what, may[0], stream=stream_of(what))
                assert was_taken is (follows is None or follows in beside), which

    def rested(self, causes: set[SuspensionCause]) -> None:
        """fsc-2 rested for each of these causes, and goes on; fsc-3 was offered, signed and ended where it did."""
        if SuspensionCause.CLAIM in causes:
            assert self.tell(claim("claim-0"), NORTHGATE)
            assert self.tell(link("claim-1"), NORTHGATE)
            assert self.tell(withdrawal("claim-0"), NORTHGATE)
        for kind in (ContractSuspended, ContractResumed):
            for cause in sorted(causes):
                assert self.tell(kind(fsc_id="fsc-2", cause=cause), NORTHGATE)
        if causes:
            for act, by in (("offer", AURORA), ("withdraw", AURORA), ("offer", NORTHGATE), ("accept", AURORA)):
                self.somebody_moves_another_contract(act, by)
            assert self.judge.state.contract("fsc-3").signed(self.judge.now_ms) is not None

    @rule(
        fsc_id=st.sampled_from(["fsc-1", "fsc-2"]),
        cause=st.sampled_from(list(SuspensionCause)),
        by=st.sampled_from(EVERYONE),
        ends=st.booleans(),
    )
    def somebody_lets_a_contract_rest(self, fsc_id: str, cause: SuspensionCause, by: Actor, ends: bool) -> None:
        kind = ContractResumed if ends else ContractSuspended
        if not self.tell(kind(fsc_id=fsc_id, cause=cause), by):
            return
        assert by in ((AURORA, NORTHGATE) if cause is SuspensionCause.NOTICE else (NORTHGATE,))
        if cause is SuspensionCause.CLAIM:
            # Congestion needs no claim; the armed contract's can be lost once there was one.
            assert fsc_id == "fsc-2"
            assert self.said(ClaimRegistered, InstallationLinked)

    @rule(number=st.integers(0, 1), is_link=st.booleans(), withdraws=st.booleans(), by=st.sampled_from(EVERYONE))
    def somebody_registers_or_withdraws_a_claim(self, number: int, is_link: bool, withdraws: bool, by: Actor) -> None:
        claim_id = f"claim-{number}"
        there = {fact.statement.record.claim_id for fact in self.said(ClaimRegistered, InstallationLinked)}  # type: ignore[attr-defined]
        gone = {fact.statement.record.claim_id for fact in self.said(ClaimWithdrawn)}  # type: ignore[attr-defined]
        what = withdrawal(claim_id) if withdraws else (link(claim_id) if is_link else claim(claim_id))
        if self.tell(what, by):
            assert by is NORTHGATE
            assert (claim_id in there, claim_id in gone) == (withdraws, False)

    @rule(act=st.sampled_from(("offer", "accept", "withdraw", "terminate")), by=st.sampled_from(EVERYONE))
    def somebody_moves_another_contract(self, act: str, by: Actor) -> None:
        """fsc-3 has versions, and an end; the two that requests rest on stay."""
        offers = [fact for fact in self.said(ContractOffered) if fact.statement.record.fsc_id == "fsc-3"]  # type: ignore[attr-defined]
        made: dict[str, Record | None] = {
            "offer": contract("fsc-3", version=len(offers) + 1),
            "accept": acceptance("fsc-3", offers[-1]) if offers else None,
            "withdraw": ContractWithdrawn(fsc_id="fsc-3", version=len(offers)) if offers else None,
            "terminate": ContractTerminated(fsc_id="fsc-3", reason=TerminationReason.NOTICE),
        }
        what = made[act]
        if what is not None and self.tell(what, by):
            assert by in (AURORA, NORTHGATE)
            last = offers[-1].actor if offers else None
            assert act != "accept" or by is not last
            assert act != "withdraw" or by is last

    @rule(which=st.sampled_from(sorted(OTHERS)), number=st.integers(1, 2), by=st.sampled_from(EVERYONE))
    def somebody_says_something_beside_the_requests(self, which: str, number: int, by: Actor) -> None:
        make, may = OTHERS[which]
        what = make(number, self.judge.now_ms)
        if self.tell(what, by, stream=stream_of(what)):
            assert by in may, which
