"""What a station's reply to a command means: accepted, rejected, unknown or expired."""

from api.execution import port as neutral
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.ocpp.mailbox import Answered, Failed, NeverSent, Reply
from api.execution.port import Outcome, Verdict


def outcome_of(reply: Reply) -> Outcome:
    """What a reply means: an error answer is a rejection, silence is UNKNOWN, what was never sent is EXPIRED."""
    match reply:
        case Answered(response=response):
            return _outcome_of_response(response)
        case Failed(code=code):
            return Outcome(Verdict.REJECTED, code)
        case NeverSent(reason=reason):
            return Outcome(Verdict.EXPIRED, reason)
        case _:
            return neutral.TIMED_OUT


def _outcome_of_response(response: t.Wire) -> Outcome:
    match response:
        case m.ClearChargingProfileResponse():
            # Unknown: nothing was in force, which is what was asked for.
            return neutral.ACCEPTED
        case m.DERControlResponse(status="NotFound"):
            return neutral.ACCEPTED
        case m.SetVariablesResponse(set_variable_result=results):
            refused = [r.attribute_status for r in results if r.attribute_status not in ("Accepted", "RebootRequired")]
            return Outcome(Verdict.REJECTED, refused[0]) if refused else neutral.ACCEPTED
        case (
            m.ProfileStatusResponse(status=status, status_info=info)
            | m.DERControlResponse(status=status, status_info=info)
            | m.GetLogResponse(status=status, status_info=info)
            | m.TriggerMessageResponse(status=status, status_info=info)
        ):
            if status in ("Accepted", "AcceptedCanceled"):
                return neutral.ACCEPTED
            return Outcome(Verdict.REJECTED, info.reason_code if info is not None else status)
        case _:
            return neutral.ACCEPTED
