"""What a simulated station answers to requests that no service sends: reports, consent, starting and stopping."""

from collections.abc import Mapping

from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m
from api.execution.simulator.plant import Plant

LIMIT_SOURCE = "CSO"


def respond(
    plant: Plant, profiles: Mapping[int, m.SetChargingProfileRequest], request: t.Wire
) -> tuple[t.Wire, tuple[t.Wire, ...]]:
    """The response, and the reports that follow it."""
    match request:
        case m.GetChargingProfilesRequest():
            return _profiles(profiles, request)
        case m.GetDERControlRequest():
            # Which curve is in force is known; what it was told in is not kept, so there is nothing to report.
            return m.DERControlResponse(status="NotFound"), ()
        case m.AFRRSignalRequest():
            return _refused(m.GenericResponse, "NoSignalWattCurve"), ()
        case m.NotifyAllowedEnergyTransferRequest(transaction_id=transaction_id):
            known = _evse_of(plant, transaction_id) is not None
            return (m.GenericResponse(status="Accepted") if known else _refused(m.GenericResponse, "TxNotFound")), ()
        case m.UsePriorityChargingRequest():
            return m.UsePriorityChargingResponse(status="NoProfile"), ()
        case m.SetDefaultTariffRequest():
            return m.SetDefaultTariffResponse(status="ConditionNotSupported"), ()
        case m.ChangeTransactionTariffRequest(transaction_id=transaction_id):
            known = _evse_of(plant, transaction_id) is not None
            return m.ChangeTransactionTariffResponse(status="ConditionNotSupported" if known else "TxNotFound"), ()
        case m.RequestStartTransactionRequest():
            return _start(plant, request), ()
        case m.RequestStopTransactionRequest(transaction_id=transaction_id):
            return _stop(plant, transaction_id), ()
        case _:
            return m.TriggerMessageResponse(status="NotImplemented"), ()


def _profiles(
    profiles: Mapping[int, m.SetChargingProfileRequest], request: m.GetChargingProfilesRequest
) -> tuple[t.Wire, tuple[t.Wire, ...]]:
    wanted = request.charging_profile
    found = [
        one
        for one in profiles.values()
        if request.evse_id in (None, one.evse_id)
        and (wanted.charging_profile_id is None or one.charging_profile.id in wanted.charging_profile_id)
        and wanted.stack_level in (None, one.charging_profile.stack_level)
        and wanted.charging_profile_purpose in (None, one.charging_profile.charging_profile_purpose)
        and (wanted.charging_limit_source is None or LIMIT_SOURCE in wanted.charging_limit_source)
    ]
    if not found:
        return m.GetChargingProfilesResponse(status="NoProfiles"), ()
    reports = tuple(
        m.ReportChargingProfilesRequest(
            request_id=request.request_id,
            charging_limit_source=LIMIT_SOURCE,
            evse_id=one.evse_id,
            charging_profile=(one.charging_profile,),
            tbc=True if one is not found[-1] else None,
        )
        for one in found
    )
    return m.GetChargingProfilesResponse(status="Accepted"), reports


def _start(plant: Plant, request: m.RequestStartTransactionRequest) -> t.Wire:
    free = [number for number, evse in plant.evses.items() if evse.transaction_id is None]
    evse_id = request.evse_id if request.evse_id is not None else next(iter(free), None)
    if evse_id is None or evse_id not in free:
        reason = "TxInProgress" if evse_id is None or evse_id in plant.evses else "UnknownEvse"
        return m.RequestStartTransactionResponse(status="Rejected", status_info=t.StatusInfo(reason_code=reason))
    return m.RequestStartTransactionResponse(status="Accepted", transaction_id=plant.start_transaction(evse_id))


def _stop(plant: Plant, transaction_id: str) -> t.Wire:
    evse_id = _evse_of(plant, transaction_id)
    if evse_id is None:
        return _refused(m.GenericResponse, "TxNotFound")
    plant.end_transaction(evse_id, "Remote")
    return m.GenericResponse(status="Accepted")


def _evse_of(plant: Plant, transaction_id: str) -> int | None:
    return next((number for number, evse in plant.evses.items() if evse.transaction_id == transaction_id), None)


def _refused(response: type[m.GenericResponse], reason: str) -> t.Wire:
    return response(status="Rejected", status_info=t.StatusInfo(reason_code=reason))
