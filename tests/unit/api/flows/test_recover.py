"""Why a fact is on record as it is: a cause blames nobody whom the fact does not blame."""

import pytest

from api.execution.evidence import ExecutionFact, FactKind
from api.execution.port import EvseAddress
from api.flows import recover
from ledger.records.execution import Cause


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
