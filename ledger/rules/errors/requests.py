"""Requests and mandates: R-30 to R-39 and what was numbered after them."""

from ledger.rules.errors.violated import RuleViolated


class StartInPast(RuleViolated):
    """A voluntary request starts in the future."""

    code = "rules/start-in-past"
    title = "The start is past"
    number = "R-30"
    source = "states of requests"


class MandateUnproven(RuleViolated):
    """A mandatory request carries a directive that a system operator's credential signed for this operator, site,
    ground, legal basis, window and cap, and that still is valid.
    """

    code = "rules/mandate-unproven"
    title = "The mandate is not proven"
    number = "R-31"
    source = "invariant 7"


class ContractMissing(RuleViolated):
    """A voluntary request names its contracts."""

    code = "rules/contract-missing"
    title = "No contract is named"
    number = "R-32"
    source = "record fsr.issued"


class SiteUnknown(RuleViolated):
    """A request, a contract or a question names a site whose configuration is on record."""

    code = "rules/site-unknown"
    title = "The site is not configured"
    number = "R-33"
    source = "record site.configured"


class CancelLate(RuleViolated):
    """A request is cancelled before its start; once accepted, not later than the notice of its contracts."""

    code = "rules/cancel-late"
    title = "It is too late to cancel"
    number = "R-34"
    source = "states of requests"


class AbortReason(RuleViolated):
    """NO_LONGER_NEEDED is the flexibility operator's reason; the port aborts for another."""

    code = "rules/abort-reason"
    title = "The reason is not this party's"
    number = "R-35"
    source = "states of requests"


class SetpointNotAsked(RuleViolated):
    """Setpoint batches belong to SETPOINT requests."""

    code = "rules/setpoint-not-asked"
    title = "The request is for another service"
    number = "R-36"
    source = "record fsr.setpoints"


class SetpointGap(RuleViolated):
    """Setpoint batches are numbered without gaps, from 1."""

    code = "rules/setpoint-gap"
    title = "A batch is missing"
    number = "R-37"
    source = "a version is never edited, only followed"


class SetpointOutside(RuleViolated):
    """Setpoints lie within the request's window, in order of time."""

    code = "rules/setpoint-outside"
    title = "A setpoint lies outside the request"
    number = "R-38"
    source = "record fsr.issued"


class RequestEnded(RuleViolated):
    """Nothing is dispatched, started or decided under a request that was rejected, cancelled, aborted or expired."""

    code = "rules/request-ended"
    title = "The request has ended"
    number = "R-39"
    source = "states of requests"


class SeriesOutside(RuleViolated):
    """The steps of a request's series follow one another from the request's start to its end: none overlaps, lies
    outside or is missing, and those that are settled are of equal length.
    """

    code = "rules/series-outside"
    title = "The series is not the request's window"
    number = "R-391"
    source = "record fsr.issued"


class CurveUnordered(RuleViolated):
    """The corners of a curve rise in what the curve is a function of."""

    code = "rules/curve-unordered"
    title = "The curve is not a function"
    number = "R-392"
    source = "record fsr.issued"


class RevisionLate(RuleViolated):
    """A request is revised while it is unanswered and open; a mandate is not revised, another one is given."""

    code = "rules/revision-late"
    title = "The request can no longer be revised"
    number = "R-393"
    source = "states of requests"


class RevisionOther(RuleViolated):
    """A check, an answer and an opt decision name the revision that stands; revisions count up by one."""

    code = "rules/revision-other"
    title = "Another revision stands"
    number = "R-394"
    source = "record fsr.revised"


class SetpointLate(RuleViolated):
    """A setpoint is moved before it holds, never afterwards."""

    code = "rules/setpoint-late"
    title = "A setpoint lies in the past"
    number = "R-395"
    source = "record fsr.setpoints"


class SetpointTooOften(RuleViolated):
    """Moved setpoints of one batch are at least the request's `update_interval_s` apart."""

    code = "rules/setpoint-too-often"
    title = "The setpoint moves more often than was asked for"
    number = "R-396"
    source = "service class SETPOINT: 1 to 60 s"


class SupersededWithoutCause(RuleViolated):
    """A participation is superseded while a mandatory request, or one of higher priority, holds at the same site (and
    the same EVSE, where that is known), and is excluded for no longer than that.
    """

    code = "rules/superseded-without-cause"
    title = "Nothing of higher rank holds there"
    number = "R-397"
    source = "states of requests; supersession is per participation and interval"


class StartSpread(RuleViolated):
    """Starts are spread where nothing has to be there at once: over at most half of the window, of a reserve over the
    time that it has to be full in; never of a mandate, a fast response, or a house's supply.
    """

    code = "rules/start-spread"
    title = "Its starts cannot be spread so"
    number = "R-398"
    source = "record fsr.issued, start_spread_s"
