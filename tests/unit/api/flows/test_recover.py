"""Why a fact is on record as it is: a cause blames nobody whom the fact does not blame."""

from types import SimpleNamespace
from typing import Any

import pytest

from api.execution.evidence import ExecutionFact, FactKind
from api.execution.port import EvseAddress
from api.execution.request import Adopted
from api.flows import recover
from ledger.records.execution import Cause, ExecutionKind, ExecutionNoted


def fact(kind: FactKind, cause: str | None) -> ExecutionFact:
    evse = EvseAddress(station_id="CS-1", evse_id=1)
    return ExecutionFact(fsr_id="fsr-1", participation_ref="p", evse=evse, kind=kind, at_ms=1, cause=cause)


@pytest.mark.parametrize(
    ("kind", "word", "cause"),
    [
        (FactKind.STARTED, None, None),
        (FactKind.STARTED, "LateAnswer", None),
        (FactKind.STARTED, "OperationModeChanged", None),
        (FactKind.REJECTED, "NoFreqWattCurve", Cause.STATION_REJECTED),
        (FactKind.UNKNOWN, "Timeout", Cause.STATION_SILENT),
        (FactKind.EXPIRED, "NotAfter", Cause.STATION_SILENT),
        (FactKind.EXPIRED, "Superseded", None),
        (FactKind.EXPIRED, "ListenerClosed", Cause.FAULT),
        (FactKind.COMMS_LOST, None, None),
        (FactKind.COMMS_LOST, "ServiceRestarted", Cause.FAULT),
        (FactKind.ALARM, "UnderFrequency", Cause.GRID_CODE),
        (FactKind.ALARM_CLEARED, "FreqDroop", Cause.GRID_CODE),
        (FactKind.ABORTED, "EVDisconnected", Cause.EV_GONE),
        (FactKind.ABORTED, "SOCLimitReached", Cause.EV_LIMIT),
        (FactKind.ABORTED, "OptedOut", Cause.OPTED_OUT),
        (FactKind.ABORTED, "PowerLoss", Cause.FAULT),
    ],
)
def test_the_cause_of_a_fact(kind: FactKind, word: str | None, cause: Cause | None) -> None:
    assert recover.cause_of(fact(kind, word)) is cause


HOUR_MS = 3_600_000
START = 1_768_921_200_000


def request(*, work: object = None, **told: tuple[ExecutionKind, ...]) -> Any:
    """A request of which the log tells these facts, a second apart from its start."""
    history = [
        (
            ExecutionNoted(n_id=f"n-{pid}-{place}", fsr_id="fsr-1", participation=pid, kind=kind),
            None,
            START + 1000 * place,
        )
        for pid, kinds in told.items()
        for place, kind in enumerate(kinds)
    ]
    parts = {
        pid: SimpleNamespace(
            has_started=ExecutionKind.STARTED in kinds,
            batch_ids=[],
            has_noted=lambda kind, kinds=kinds: kind in kinds,
        )
        for pid, kinds in told.items()
    }
    issued = SimpleNamespace(start_at_ms=START, end_at_ms=START + HOUR_MS)
    return SimpleNamespace(history=history, bound=lambda: parts, work=work, issued=issued)


TOLD = (ExecutionKind.DISPATCHED,)
SERVES = (*TOLD, ExecutionKind.STARTED)


def test_a_restart_takes_over_who_was_told_and_asks_nobody_again_who_said_no() -> None:
    found = recover.adopted(
        request(
            serves=SERVES,
            told=TOLD,
            over=(*SERVES, ExecutionKind.COMPLETED),
            left=(*SERVES, ExecutionKind.ABORTED),
            refused=(*TOLD, ExecutionKind.REJECTED),
            never=(*TOLD, ExecutionKind.ABORTED),
            asked_nothing=(),
        )
    )
    assert found == {
        "serves": Adopted(has_started=True),
        "told": Adopted(has_started=False),
        "over": Adopted(has_started=True, is_closed=True),
        "left": Adopted(has_started=True, is_closed=True, ended_at_ms=START + 2000),
    }


def test_who_left_evidence_is_not_asked_again() -> None:
    there = request(serves=SERVES)
    there.bound()["serves"].batch_ids.append("batch-1")
    assert recover.adopted(there) == {}


@pytest.mark.parametrize(
    ("now_ms", "is_taken_over"),
    [
        (START - 1, False),
        (START, True),
        (START + HOUR_MS, True),
        (START + HOUR_MS + recover.RECOVER_WITHIN_MS - 1, True),
        (START + HOUR_MS + recover.RECOVER_WITHIN_MS, False),
    ],
)
def test_a_broken_off_run_is_taken_over_for_a_day_after_its_end(now_ms: int, is_taken_over: bool) -> None:
    assert recover.is_broken_off(request(serves=SERVES), now_ms) is is_taken_over


def test_what_was_proven_or_never_begun_is_not_taken_over() -> None:
    assert not recover.is_broken_off(request(serves=SERVES, work=object()), START)
    assert not recover.is_broken_off(request(nobody=()), START)
