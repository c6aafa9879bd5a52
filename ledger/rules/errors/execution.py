"""Baseline, execution, evidence: R-70 to R-79 and what was numbered after them."""

from ledger.rules.errors.violated import RuleViolated


class OptedOutDispatch(RuleViolated):
    """No execution entry for a participation that is out, by decision or by silence."""

    code = "rules/opted-out-dispatch"
    title = "The participation has opted out"
    number = "R-70"
    source = "invariant 5"


class BaselineMissing(RuleViolated):
    """The baseline that counts the participation is committed before its first execution entry."""

    code = "rules/baseline-missing"
    title = "No baseline is committed"
    number = "R-71"
    source = "invariant 4"


class BaselineLate(RuleViolated):
    """A baseline is committed before the start and before the first execution entry; under a mandate, before the
    latter.
    """

    code = "rules/baseline-late"
    title = "The baseline comes too late"
    number = "R-72"
    source = "invariant 4"


class BaselineMethodOther(RuleViolated):
    """The baseline's method is the contract's for the class; under a mandate it is LIMIT."""

    code = "rules/baseline-method"
    title = "Not the contract's method"
    number = "R-73"
    source = "contract terms, baseline"


class BaselineParticipants(RuleViolated):
    """A baseline counts exactly the participations that are accepted and not out."""

    code = "rules/baseline-participants"
    title = "Not the request's participations"
    number = "R-74"
    source = "who opted out is on neither side"


class ExecutionEarly(RuleViolated):
    """Nothing executes before its start, which may be spread; a command may go out once the opt deadline has passed."""

    code = "rules/execution-early"
    title = "It is too early"
    number = "R-75"
    source = "states of requests"


class ExecutionLate(RuleViolated):
    """Nothing is dispatched at or after the end."""

    code = "rules/execution-late"
    title = "It is too late"
    number = "R-76"
    source = "states of requests"


class NotStarted(RuleViolated):
    """Samples, setpoints applied, deviations and completion follow the start."""

    code = "rules/not-started"
    title = "The participation has not started"
    number = "R-77"
    source = "invariant 8"


class BatchReused(RuleViolated):
    """A sample batch, by id and by root, is committed once and proves once."""

    code = "rules/batch-reused"
    title = "The evidence is used already"
    number = "R-78"
    source = "invariant 8"


class BatchGap(RuleViolated):
    """Batches of one participation are numbered without gaps, from 1."""

    code = "rules/batch-gap"
    title = "A batch is missing"
    number = "R-79"
    source = "record samples.committed"


class BaselineLength(RuleViolated):
    """A committed baseline has one value for each period that is settled or judged against it."""

    code = "rules/baseline-length"
    title = "The baseline has another length"
    number = "R-791"
    source = "record baseline.committed"
