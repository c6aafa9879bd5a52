"""Answers: R-50 to R-59."""

from ledger.rules.errors.violated import RuleViolated


class ResponseLate(RuleViolated):
    """A voluntary request is answered before `respond_by_ms`."""

    code = "rules/response-late"
    title = "The answer is late"
    number = "R-50"
    source = "states of requests"


class AnswerInconsistent(RuleViolated):
    """ACCEPTED offers every checked participation and the whole order, PARTIAL less, REJECTED nothing for a reason."""

    code = "rules/answer-inconsistent"
    title = "The answer contradicts its offers"
    number = "R-51"
    source = "states of requests"


class RejectReasonRefused(RuleViolated):
    """A mandatory request is rejected only as MANDATE_UNPROVEN, NOT_APPLICABLE or INABILITY."""

    code = "rules/reject-reason"
    title = "Not a reason to reject a mandate"
    number = "R-52"
    source = "states of requests"


class OptedOutOffer(RuleViolated):
    """What has opted out is not offered."""

    code = "rules/opted-out-offer"
    title = "An opted-out participation is offered"
    number = "R-53"
    source = "states of participations"


class DoubleSelling(RuleViolated):
    """For each EVSE and instant, what is accepted under voluntary requests is at most what the EVSE can do, and at most
    one of them sets its reactive power."""

    code = "rules/double-selling"
    title = "The capacity is sold already"
    number = "R-54"
    source = "invariant 9"


class EvseNotAtSite(RuleViolated):
    """What is offered is an EVSE of the request's site."""

    code = "rules/evse-not-at-site"
    title = "The EVSE is not at this site"
    number = "R-55"
    source = "a certificate of another site's EVSE"


class BaselineShared(RuleViolated):
    """For each EVSE and instant at most one accepted request is measured against a baseline (CONGESTION, RESERVE,
    PRICE): the same saved watts would else count twice.
    """

    code = "rules/baseline-shared"
    title = "Another request counts against the same baseline"
    number = "R-56"
    source = "invariant 9: no double selling"
