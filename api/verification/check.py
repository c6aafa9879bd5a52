"""The credential check: six questions, one for each purpose that the standard's abstract names, answered from evidence.

A pure function of its inputs, so that running it again years later from a bundle gives the same answer, bit for bit.
INDETERMINATE (say, a stale revocation list) is never PASS. What was used is named by its digest: organisations' papers
in the check's own `evidence`, what tells one EVSE or car from another in that of its subject, which is personal.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET

from api.verification import asked, capability
from api.verification.documents import DocumentsOf
from api.verification.errors import SignerUnknown
from ledger.records.contracts import ContractKind, ContractOffered, ServiceTerms
from ledger.records.credentials import CheckedSubject, CheckPurpose, CheckRecorded, Dimension, DimensionResult, Status
from ledger.records.requests import Obligation, RequestIssued
from ledger.records.services import service_of
from ledger.records.sites import CurrentKind, Evse, SessionMirrored, SiteConfigured
from ledger.rules import orders
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.coverage import Ask, Coverage, NotCovered, covers
from pki.credential import Credential
from pki.errors import PkiError
from pki.roles import Role
from pki.roles import Service as PkiService
from pki.status import StatusIndeterminate

MAX_VALIDITY_MS = 15 * 60_000
OK = "check/ok"
WHOLE_SITE = 10_000
"""Wider than any list of EVSEs: a contract for a site gives way to one that names the EVSE."""

CredentialOf = Callable[[], Credential]
"""Returns the credential or raises what its validation raised."""


class ContractInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A contract with its terms revealed, and whether it is in force at the moment of the check."""

    offer: ContractOffered
    in_force: bool


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE that might take part, and the charging session at it."""

    participation: str
    evse_id: str
    session: SessionMirrored | None


class CheckInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the answer depends on."""

    check_id: str
    purpose: CheckPurpose
    as_of_ms: int
    request: RequestIssued
    """As its newest revision has it."""
    revision: int
    mandate_proven: bool
    fo_party: str
    fo: CredentialOf
    site: SiteConfigured
    contracts: Mapping[str, ContractInForce]
    candidates: Sequence[Candidate]
    station: Callable[[Evse], Credential]
    operator: str
    """The party that operates the site; its links about its EVSEs count."""
    documents: DocumentsOf


class _Used(msgspec.Struct):
    """What one answer rests on: until when it holds, and digests of what was used."""

    limits: list[int] = msgspec.field(default_factory=list)
    public: list[str] = msgspec.field(default_factory=list)
    private: list[str] = msgspec.field(default_factory=list)

    def credential(self, used: Credential) -> None:
        """A credential counted: until its status or its life ends, and with the lists that say so."""
        self.limits.extend((used.status_valid_until_ms, used.not_after_ms))
        self.public.extend(used.status_digests)

    def coverage(self, used: Coverage) -> None:
        """Claims and links counted, with those who signed them."""
        for one in used.documents:
            self.limits.append(one.status_valid_until_ms)
            self.public.extend(one.status_digests)
            self.private.append(one.digest)
            self.private.extend(_chain(one.body))


def _chain(credential: Credential) -> list[str]:
    return [hashlib.sha256(der).hexdigest() for der in credential.chain]


def run(inputs: CheckInputs) -> CheckRecorded:
    """The answer to the six questions for the requester and for each candidate, with how long it holds."""
    used = _Used()
    fo = _requester(inputs, used)
    subjects = [_subject(inputs, candidate, used) for candidate in inputs.candidates]
    passed = all(result.status is Status.PASS for result in fo) and any(s.overall is Status.PASS for s in subjects)
    return CheckRecorded(
        check_id=inputs.check_id,
        fsr_id=inputs.request.fsr_id,
        revision=inputs.revision,
        purpose=inputs.purpose,
        service=service_of(inputs.request.params).value,
        as_of_ms=inputs.as_of_ms,
        valid_until_ms=min([inputs.as_of_ms + MAX_VALIDITY_MS, *used.limits]),
        requester=inputs.fo_party,
        overall=Status.PASS if passed else _worst([*(r.status for r in fo), *(s.overall for s in subjects)]),
        requester_dimensions=tuple(fo),
        subjects=tuple(subjects),
        evidence=tuple(sorted(set(used.public))),
    )


def _requester(inputs: CheckInputs, used: _Used) -> list[DimensionResult]:
    service = asked.credential_service(inputs.request.params)
    try:
        credential = inputs.fo()
    except PkiError as error:
        status = _status_of(error)
        unknown = [_result(d, Status.INDETERMINATE, "check/no-credential") for d in list(Dimension)[2:4]]
        first = [_result(d, status, error.code) for d in (Dimension.IDENTITY, Dimension.AUTHENTICATION)]
        return [*first, *unknown]
    used.credential(credential)
    used.public.extend(_chain(credential))
    return [
        _either(Dimension.IDENTITY, credential.party_id == inputs.fo_party, "check/other-party"),
        _result(Dimension.AUTHENTICATION, Status.PASS, OK),
        _either(
            Dimension.AUTHORIZATION,
            credential.role is Role.FO and service in credential.services,
            "check/service-not-authorized",
        ),
        _requester_contract(inputs),
    ]


def _requester_contract(inputs: CheckInputs) -> DimensionResult:
    if inputs.request.obligation is Obligation.MANDATORY:
        return _either(Dimension.CONTRACT, inputs.mandate_proven, "check/mandate-unproven")
    held = any(c.in_force and c.offer.fo == inputs.fo_party for c in inputs.contracts.values())
    return _either(Dimension.CONTRACT, held, "check/contract-not-in-force")


def _subject(inputs: CheckInputs, candidate: Candidate, used: _Used) -> CheckedSubject:
    evse = next((e for e in inputs.site.evses if e.evse_id == candidate.evse_id), None)
    chosen = [c.evse_id for c in inputs.candidates]
    whole_w = sum(e.max_charge_w for e in inputs.site.evses if e.evse_id in chosen)
    asked_w = asked.amount_w(inputs.request.params, evse.max_charge_w if evse else 0, whole_w)
    contract, terms = _contract_for(inputs, candidate)
    used.private = []
    results = [_either(Dimension.IDENTITY, evse is not None and candidate.session is not None, "check/no-session")]
    results.append(_authentication(inputs, evse, used))
    results.append(_authorization(inputs, candidate))
    results.append(_contract(inputs, contract, terms, asked_w))
    results.append(_capability(inputs, evse, candidate.session, asked_w))
    results.append(_conformity(inputs, evse, candidate.session, asked_w, used))
    return CheckedSubject(
        participation=candidate.participation,
        overall=_worst([result.status for result in results]),
        dimensions=tuple(results),
        amount_w=asked_w,
        amount_var=orders.most_var(inputs.request.params),
        fsc_id=contract.offer.fsc_id if contract else UNSET,
        evse_id=candidate.evse_id,
        evu=candidate.session.evu if candidate.session else UNSET,
        session_id=candidate.session.session_id if candidate.session else UNSET,
        evidence=tuple(sorted(set(used.private))) or UNSET,
    )


def _authentication(inputs: CheckInputs, evse: Evse | None, used: _Used) -> DimensionResult:
    """The station is who the site's configuration says, by a certificate that is good now."""
    if evse is None:
        return _result(Dimension.AUTHENTICATION, Status.FAIL, "check/evse-unknown")
    try:
        station = inputs.station(evse)
    except SignerUnknown as error:
        return _result(Dimension.AUTHENTICATION, Status.FAIL, error.code)
    except PkiError as error:
        return _result(Dimension.AUTHENTICATION, _status_of(error), error.code)
    used.credential(station)
    used.private.extend(_chain(station))
    same = station.spki_sha256 == evse.key_spki_sha256 and station.station_id == evse.station_id
    return _either(Dimension.AUTHENTICATION, same, "check/other-station")


def _authorization(inputs: CheckInputs, candidate: Candidate) -> DimensionResult:
    """The EV user allows what the service would do with the car."""
    if not asked.discharges(inputs.request.params):
        return _result(Dimension.AUTHORIZATION, Status.PASS, OK)
    allowed = candidate.session is not None and candidate.session.discharge_allowed is True
    return _either(Dimension.AUTHORIZATION, allowed, "check/discharge-not-allowed")


def _contract_for(inputs: CheckInputs, candidate: Candidate) -> tuple[ContractInForce | None, ServiceTerms | None]:
    """The contract under which this EVSE can take part: the narrowest one in force that has terms for the service."""
    service = service_of(inputs.request.params)
    fitting: list[tuple[int, str, ContractInForce, ServiceTerms]] = []
    for fsc_id, contract in inputs.contracts.items():
        evses = contract.offer.evse_ids
        if isinstance(evses, tuple) and candidate.evse_id not in evses:
            continue
        if contract.offer.kind is ContractKind.FO_EVU and not _is_holder(contract.offer, candidate.session):
            continue
        width = len(evses) if isinstance(evses, tuple) else WHOLE_SITE
        fitting.extend(
            (width, fsc_id, contract, terms)
            for terms in contract.offer.services
            if terms.service is service and contract.in_force
        )
    if not fitting:
        return None, None
    _, _, contract, terms = min(fitting, key=lambda row: row[:2])
    return contract, terms


def _is_holder(offer: ContractOffered, session: SessionMirrored | None) -> bool:
    """A person's contract covers that person's own sessions, not whoever else plugs in at the same EVSE."""
    return session is not None and isinstance(session.evu, str) and session.evu == offer.evu


def _contract(
    inputs: CheckInputs, contract: ContractInForce | None, terms: ServiceTerms | None, asked_w: int
) -> DimensionResult:
    if inputs.request.obligation is Obligation.MANDATORY:
        return _either(Dimension.CONTRACT, inputs.mandate_proven, "check/mandate-unproven")
    if contract is None or terms is None:
        return _result(Dimension.CONTRACT, Status.FAIL, "check/contract-not-in-force")
    within = asked_w <= terms.max_w and orders.most_var(inputs.request.params) <= terms.max_var
    return _either(Dimension.CONTRACT, within, "check/over-contract-limit")


def _capability(
    inputs: CheckInputs, evse: Evse | None, session: SessionMirrored | None, asked_w: int
) -> DimensionResult:
    """EV and CS as a system can do what is asked, in the time that is asked."""
    if evse is None:
        return _result(Dimension.CAPABILITY, Status.FAIL, "check/evse-unknown")
    status, code = capability.judge(inputs.request, evse, session, asked_w)
    return _result(Dimension.CAPABILITY, status, code)


def _conformity(
    inputs: CheckInputs, evse: Evse | None, session: SessionMirrored | None, asked_w: int, used: _Used
) -> DimensionResult:
    """Equipment certificates cover the function, in this region, for this EVSE and, in AC, for this EV.

    A claim or link that is good now counts. One of which that cannot be known makes a miss INDETERMINATE; one that is
    revoked or over makes it a FAIL with its code, if there is nothing else.
    """
    if evse is None:
        return _result(Dimension.CONFORMITY, Status.FAIL, "check/evse-unknown")
    params = inputs.request.params
    car = session.ev_key_spki_sha256 if session and isinstance(session.ev_key_spki_sha256, str) else None
    firmware = {evse.key_spki_sha256: evse.firmware_sha256}
    if car is not None and session is not None and isinstance(session.ev_firmware_sha256, str):
        firmware[car] = session.ev_firmware_sha256
    charge_w, discharge_w = asked.powers_w(params, asked_w)
    service = asked.credential_service(params)
    ask = Ask(
        kind="DC" if evse.kind is CurrentKind.DC else "AC",
        generator=asked.needs_claim(params),
        function=service,
        der_functions=asked.der_functions(params),
        region=inputs.site.region,
        evse_spki_sha256=evse.key_spki_sha256,
        ev_spki_sha256=car,
        at_ms=inputs.as_of_ms,
        charge_w=charge_w,
        discharge_w=min(discharge_w, evse.max_discharge_w) if service is PkiService.V2H else discharge_w,
        response_ms=asked.allowed_ms(params),
        firmware_sha256=firmware,
        operator=inputs.operator,
    )
    held = _open(inputs, (evse.key_spki_sha256,) if car is None else (evse.key_spki_sha256, car), ask)
    try:
        coverage = covers(held.claims, ask, held.links)
    except NotCovered as error:
        return _not_covered(error, held)
    used.coverage(coverage)
    return _result(Dimension.CONFORMITY, Status.PASS, OK)


class _Held(msgspec.Struct):
    """What was found of claims and links: the good ones, and what is wrong with the others."""

    claims: list[VerifiedClaim] = msgspec.field(default_factory=list)
    links: list[VerifiedLink] = msgspec.field(default_factory=list)
    refused: list[PkiError | SignerUnknown] = msgspec.field(default_factory=list)


def _open(inputs: CheckInputs, keys: Sequence[str], ask: Ask) -> _Held:
    held = _Held()
    for document in inputs.documents(keys) if ask.generator else ():
        try:
            opened = document.open()
        except (PkiError, SignerUnknown) as error:
            held.refused.append(error)
            continue
        if isinstance(opened, VerifiedLink):
            held.links.append(opened)
        else:
            held.claims.append(opened)
    return held


def _not_covered(error: NotCovered, held: _Held) -> DimensionResult:
    for refused in held.refused:
        if isinstance(refused, StatusIndeterminate):
            return _result(Dimension.CONFORMITY, Status.INDETERMINATE, refused.code)
    if held.refused and error.reason in ("no-claim", "no-link"):
        return _result(Dimension.CONFORMITY, Status.FAIL, held.refused[0].code)
    status = Status.INDETERMINATE if error.undecided else Status.FAIL
    return _result(Dimension.CONFORMITY, status, f"check/not-covered-{error.reason}")


def _status_of(error: PkiError) -> Status:
    return Status.INDETERMINATE if isinstance(error, StatusIndeterminate) else Status.FAIL


def _worst(statuses: Sequence[Status]) -> Status:
    for status in (Status.FAIL, Status.INDETERMINATE):
        if status in statuses:
            return status
    return Status.PASS


def _either(dimension: Dimension, passed: bool, code: str) -> DimensionResult:
    return _result(dimension, Status.PASS if passed else Status.FAIL, OK if passed else code)


def _result(dimension: Dimension, status: Status, code: str) -> DimensionResult:
    return DimensionResult(dimension=dimension, status=status, code=code)
