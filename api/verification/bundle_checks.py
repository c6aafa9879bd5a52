"""Credential checks, run again from the bundle's evidence and compared with what was recorded, field by field."""

from collections.abc import Iterator
from typing import Any

import msgspec

from api.verification import check
from api.verification.bundle_context import Context
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceAbsent, EvidenceErased, RecomputedOther
from api.verification.bundle_statements import Told
from api.verification.mandates import open_directive
from ledger.records.credentials import CheckedSubject, CheckRecorded
from ledger.records.record import Part, Record, personal_fields
from ledger.records.sites import Evse
from ledger.rules.contract_state import ContractStatus
from ledger.rules.request_state import RequestState
from pki.credential import Credential

MAX_SHOWN = 5


def run_again(context: Context, _told: Told, whole: Record) -> str:
    """The check gives the same answer again, bit for bit; raises `RecomputedOther` with the places that differ.

    Where a subject was erased, what does not depend on it is compared, and `EvidenceErased` says the rest.
    """
    if not isinstance(whole, CheckRecorded):
        raise RecomputedOther("not a check")
    request = context.request_of(whole)
    gone = [subject for subject in whole.subjects if context.room.erased_in(subject)]
    for subject in whole.subjects:
        if subject not in gone and subject.evse_id is msgspec.UNSET:
            raise EvidenceAbsent("an EVSE is not disclosed", participation=subject.participation)
    known = [subject for subject in whole.subjects if subject not in gone]
    # The newest list at the moment of the check decides; the one that the check names is the second guess.
    first = _result(context, context.directory, request, whole, known)
    if gone:
        _require_same(whole.requester_dimensions, first.requester_dimensions, "the requester's dimensions")
        raise EvidenceErased(
            "subjects were erased; the requester's dimensions were run again and hold",
            found=f"{len(gone)} of {len(whole.subjects)} subjects",
        )
    if not list(differences(_shown(whole), _shown(first))):
        return f"run again: {whole.overall} for {len(known)} subjects, bit for bit"
    narrow = context.directory.narrowed(frozenset(whole.evidence))
    second = _result(context, narrow, request, whole, known)
    if list(differences(_shown(whole), _shown(second))):
        _require_known(context, whole, known)
        _require_same(whole, first, "the check")
    if _statuses(first) != _statuses(second):
        raise EvidenceAbsent("a revocation list that the check does not name says otherwise")
    context.directory.take(narrow)
    return f"run again: {whole.overall} for {len(known)} subjects, with the revocation lists that it names"


def differences(expected: Any, found: Any, place: str = "$") -> Iterator[str]:
    """The places at which two values of JSON's kinds differ, never what stands there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            if name not in expected or name not in found:
                yield f"{place}.{name}"
            else:
                yield from differences(expected[name], found[name], f"{place}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for at, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, f"{place}[{at}]")
    elif expected != found or type(expected) is not type(found):
        yield place


def _result(
    context: Context,
    directory: BundleDirectory,
    request: RequestState,
    recorded: CheckRecorded,
    subjects: list[CheckedSubject],
) -> CheckRecorded:
    """The check as the service ran it, with its inputs as they stood at that moment."""
    site = context.state.site(request.issued.site_id).configured
    at_ms = recorded.as_of_ms
    candidates = [
        check.Candidate(
            participation=subject.participation,
            evse_id=str(subject.evse_id),
            session=context.session_at(site.site_id, str(subject.evse_id), at_ms),
        )
        for subject in subjects
    ]

    def fo() -> Credential:
        return directory.credential(context.signers[request.fsr_id], at_ms)

    def station(evse: Evse) -> Credential:
        return directory.station(evse.key_spki_sha256, at_ms)

    return check.run(
        check.CheckInputs(
            check_id=recorded.check_id,
            purpose=recorded.purpose,
            as_of_ms=at_ms,
            request=request.issued,
            revision=request.revision,
            mandate_proven=open_directive(context.directory, request.issued, at_ms) is not None,
            fo_party=request.fo,
            fo=fo,
            site=site,
            contracts=_contracts(context, request, at_ms),
            candidates=candidates,
            station=station,
            operator=context.state.site(request.issued.site_id).cso,
            documents=lambda keys: context.documents(site.site_id, keys, directory, at_ms),
        )
    )


def _contracts(context: Context, request: RequestState, at_ms: int) -> dict[str, check.ContractInForce]:
    found = {}
    for fsc_id in request.issued.fsc_ids:
        offer = context.offers.get(fsc_id)
        if offer is not None:
            in_force = context.state.contract(fsc_id).status(at_ms) is ContractStatus.ACTIVE
            found[fsc_id] = check.ContractInForce(offer=offer, in_force=in_force)
    return found


def _require_known(context: Context, recorded: CheckRecorded, subjects: list[CheckedSubject]) -> None:
    """Every input's personal members were all there; raises where the difference may come from what is hidden."""
    issued = context.request_of(recorded).issued
    inputs: list[Part] = [context.offers[fsc_id] for fsc_id in issued.fsc_ids if fsc_id in context.offers]
    for subject in subjects:
        session = context.session_at(issued.site_id, str(subject.evse_id), recorded.as_of_ms)
        if session is None and context.hides_sessions:
            raise EvidenceAbsent("no session is disclosed that it may rest on", participation=subject.participation)
        inputs += [subject, *([session] if session is not None else [])]
    for part in inputs:
        hidden = [field.name for field in personal_fields(type(part)) if getattr(part, field.name) is msgspec.UNSET]
        if hidden and part.sd:
            context.room.require(part, *hidden)


def _require_same(expected: Any, found: Any, what: str) -> None:
    places = list(differences(_shown(expected), _shown(found)))
    if places:
        more = f" and {len(places) - MAX_SHOWN} more" if len(places) > MAX_SHOWN else ""
        raise RecomputedOther(f"{what} gives another result", found=", ".join(places[:MAX_SHOWN]) + more)


def _shown(value: Any) -> Any:
    """JSON's kinds, without digests that no disclosure opened: decoys."""
    return _without_digests(msgspec.to_builtins(value))


def _without_digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_digests(member) for name, member in value.items() if name != "_sd"}
    if isinstance(value, list | tuple):
        return [_without_digests(item) for item in value]
    return value


def _statuses(result: CheckRecorded) -> list[str]:
    found = [dimension.status.value for dimension in result.requester_dimensions]
    return [*found, *(one.status.value for subject in result.subjects for one in subject.dimensions)]
