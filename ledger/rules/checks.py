"""Rules of credential checks."""

from collections.abc import Iterable

from ledger.records.credentials import CheckedSubject, CheckRecorded, Dimension, DimensionResult, Status
from ledger.rules.errors.checks import CheckInconsistent, NotAParticipant
from ledger.rules.errors.writing import AlreadyRecorded
from ledger.rules.fact import Fact
from ledger.rules.projection import Projection
from ledger.rules.request_state import RequestState
from ledger.rules.standing import require_open, require_port, require_request, require_revision

_SUBJECT = tuple(Dimension)
_REQUESTER = tuple(Dimension)[:4]


def check_recorded(seen: Projection, fact: Fact, record: CheckRecorded) -> None:
    """The port checks the request's parties; a check's verdicts follow from its dimensions, and it looks at no future.

    Participations are introduced until the answer; from then on checks look at those again.
    """
    request = require_request(seen, fact, record.fsr_id)
    require_port(seen, fact, request)
    require_open(request, fact.now_ms)
    require_revision(request, record.revision)
    if record.check_id in request.checks:
        raise AlreadyRecorded("the check is recorded", check_id=record.check_id)
    _require_about(request, record, fact.now_ms)
    _require_verdicts(record)
    names = [subject.participation for subject in record.subjects]
    if len(set(names)) != len(names):
        raise CheckInconsistent("a participation is checked twice", check_id=record.check_id)
    for name in names:
        if request.answer is not None and name not in request.participations:
            raise NotAParticipant("it was not there when the request was answered", participation=name)


def _require_about(request: RequestState, record: CheckRecorded, now_ms: int) -> None:
    if record.service != request.service or record.requester != request.fo:
        raise CheckInconsistent(
            "another service or requester", expected=f"{request.service} for {request.fo}", found=record.service
        )
    if not record.as_of_ms <= now_ms or record.valid_until_ms < record.as_of_ms:
        raise CheckInconsistent(
            "it looks into the future",
            expected=f"as_of_ms at most {now_ms}, then valid_until_ms",
            found=record.as_of_ms,
        )


def _require_verdicts(record: CheckRecorded) -> None:
    _require_order(record.requester_dimensions, _REQUESTER)
    for subject in record.subjects:
        _require_order(subject.dimensions, _SUBJECT)
        _require_verdict(subject.overall, _all_pass(subject.dimensions), subject.participation)
    has_passed = _all_pass(record.requester_dimensions) and any(map(_passes, record.subjects))
    _require_verdict(record.overall, has_passed, record.check_id)


def _require_order(results: tuple[DimensionResult, ...], wanted: tuple[Dimension, ...]) -> None:
    found = tuple(result.dimension for result in results)
    if found != wanted:
        raise CheckInconsistent("other dimensions", expected=", ".join(wanted), found=", ".join(found))


def _require_verdict(stated: Status, has_passed: bool, place: str) -> None:
    if (stated is Status.PASS) is not has_passed:
        wanted = Status.PASS if has_passed else "FAIL or INDETERMINATE"
        raise CheckInconsistent("the verdict is not its dimensions'", expected=wanted, found=stated, place=place)


def _all_pass(results: Iterable[DimensionResult]) -> bool:
    return all(result.status is Status.PASS for result in results)


def _passes(subject: CheckedSubject) -> bool:
    return subject.overall is Status.PASS
