"""Proof of work, dispute, settlement: R-80 to R-89."""

from ledger.rules.errors.violated import RuleViolated


class BatchMissing(RuleViolated):
    """A service record or a proof names batches that its participations committed, at least one."""

    code = "rules/batch-missing"
    title = "There is no such batch"
    number = "R-80"
    source = "records dsr.recorded and work.proven"


class WorkEarly(RuleViolated):
    """A service record or a proof follows the end, the abort or the completion of what it proves."""

    code = "rules/work-early"
    title = "The request still runs"
    number = "R-81"
    source = "states of requests"


class WorkIncomplete(RuleViolated):
    """A proof has every accepted participation among its parts or excluded, once, with its service record and all of
    that record's batches.
    """

    code = "rules/work-incomplete"
    title = "The proof leaves something out"
    number = "R-82"
    source = "record work.proven"


class WorkInconsistent(RuleViolated):
    """Score and verdict in `group` are the record's, and the check and baseline are the request's."""

    code = "rules/work-inconsistent"
    title = "The proof contradicts itself"
    number = "R-83"
    source = "invariant 10"


class ReversesUnknown(RuleViolated):
    """A reversing record names the one that stands."""

    code = "rules/reverses-unknown"
    title = "There is nothing to reverse"
    number = "R-84"
    source = "invariant 12"


class ExcludedWithoutCause(RuleViolated):
    """A participation excluded as opted out, ineligible, superseded, overridden by a grid code or not begun yet is so
    on record.
    """

    code = "rules/excluded-without-cause"
    title = "The record shows no such cause"
    number = "R-85"
    source = "record work.proven"


class DisputeReasonMissing(RuleViolated):
    """A dispute has a reason and contests parts of the proof; an agreement does neither."""

    code = "rules/dispute-reason"
    title = "The dispute has no fitting reason"
    number = "R-86"
    source = "states of requests"


class SettlementSum(RuleViolated):
    """The net is the sum of all payments less all penalties."""

    code = "rules/settlement-sum"
    title = "The lines do not add up"
    number = "R-87"
    source = "invariant 11"


class WorkLate(RuleViolated):
    """A first proof comes within the time that the contracts give; then the request is unprovable."""

    code = "rules/work-late"
    title = "The time for a proof is over"
    number = "R-88"
    source = "states of requests"


class CounterLate(RuleViolated):
    """A proof is disputed within the time that the contracts give; then silence has agreed."""

    code = "rules/counter-late"
    title = "Silence has agreed"
    number = "R-89"
    source = "states of requests"
