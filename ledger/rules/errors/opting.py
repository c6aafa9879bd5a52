"""Opting: R-60 to R-69."""

from ledger.rules.errors.violated import RuleViolated


class OptLate(RuleViolated):
    """An opt decision comes before `opt_deadline_ms`."""

    code = "rules/opt-late"
    title = "The deadline has passed"
    number = "R-60"
    source = "states of opt decisions"


class OptMandatory(RuleViolated):
    """Under a verified mandate no opt decision is admitted; inability is a fact and stays admissible."""

    code = "rules/opt-mandatory"
    title = "Opting out is refused under this mandate"
    number = "R-61"
    source = "invariant 6; the two grounds of the public abstract"


class OptNoStanding(RuleViolated):
    """A CSO opts its own EVSEs, a CSP its own contract holders, an EV user their own EV."""

    code = "rules/opt-no-standing"
    title = "The party has no right to this decision"
    number = "R-62"
    source = "states of opt decisions"


class OptLimit(RuleViolated):
    """No more participations are opted out under a contract than it allows."""

    code = "rules/opt-limit"
    title = "The contract's opt-outs are used up"
    number = "R-63"
    source = "contract terms, max_opt_outs"


class FoMayNotOpt(RuleViolated):
    """A flexibility operator writes no opt decision."""

    code = "rules/fo-may-not-opt"
    title = "A flexibility operator never opts"
    number = "R-64"
    source = "states of opt decisions"


class OptUnscheduled(RuleViolated):
    """A decision that follows from a schedule has one of the same actor, with the same choice, that was not ended, and
    none that the actor made for this request.
    """

    code = "rules/opt-unscheduled"
    title = "No schedule says so"
    number = "R-65"
    source = "record opt.scheduled"
