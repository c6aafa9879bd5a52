"""Credential checks, claims, links and capabilities: R-40 to R-49."""

from ledger.rules.errors.violated import RuleViolated


class CheckInconsistent(RuleViolated):
    """PASS needs every dimension to pass, in the order of the six; service, requester and times are the request's."""

    code = "rules/check-inconsistent"
    title = "The check contradicts itself"
    number = "R-40"
    source = "INDETERMINATE is never PASS"


class CheckMissing(RuleViolated):
    """An acceptance or a proof rests on a check on record."""

    code = "rules/check-missing"
    title = "There is no such check"
    number = "R-41"
    source = "invariant 3"


class CheckNotPassed(RuleViolated):
    """Only a participation whose check says PASS is offered or started; INDETERMINATE is not PASS."""

    code = "rules/check-not-passed"
    title = "The check did not pass"
    number = "R-42"
    source = "invariant 3"


class CheckExpired(RuleViolated):
    """A check is still valid when it is relied on: at acceptance, and again at the start."""

    code = "rules/check-expired"
    title = "The check has expired"
    number = "R-43"
    source = "invariant 3"


class NotAParticipant(RuleViolated):
    """A participation is introduced by a check before it is spoken of, and accepted before it executes."""

    code = "rules/not-a-participant"
    title = "Not a participation of this request"
    number = "R-44"
    source = "states of participations"


class ClaimUnknown(RuleViolated):
    """What is withdrawn is a claim or a link that was registered at the site."""

    code = "rules/claim-unknown"
    title = "No such claim or link"
    number = "R-45"
    source = "record site.claim-withdrawn"


class LinkSubject(RuleViolated):
    """An installation link is of one thing: an EVSE or an EV."""

    code = "rules/link-subject"
    title = "A link of something else"
    number = "R-46"
    source = "docs/spec/conformity-claim.md"


class EmbeddedVerdict(RuleViolated):
    """What a function embedded in firmware did is INFORMATIVE where samples show it, else UNPROVABLE; nothing else."""

    code = "rules/embedded-verdict"
    title = "Nothing was asked for"
    number = "R-47"
    source = "record embedded.acted"


class MagnitudeImplausible(RuleViolated):
    """A frequency is within 40 to 70 Hz, an order is more than its contracts tolerate, an EVSE has 500 W to 10 MW or
    nothing: beyond that somebody meant another unit.
    """

    code = "rules/magnitude-implausible"
    title = "This was meant in another unit"
    number = "R-49"
    source = "bounds of units"


class CapabilityContradicts(RuleViolated):
    """An EVSE's least power is not more than its greatest, its connectors differ, and a site forecasts no more than its
    EVSEs can do.
    """

    code = "rules/capability-contradicts"
    title = "The capability contradicts itself"
    number = "R-48"
    source = "record site.configured"
