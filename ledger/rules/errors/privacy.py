"""What the privacy officer's acts rest on: R-191 to R-193."""

from ledger.rules.errors.violated import RuleViolated


class ReidentificationUnasked(RuleViolated):
    """A request for re-identification is asked once, under an id of its own; approval and end name one that is open."""

    code = "rules/reidentification-unasked"
    title = "No such request for re-identification is open"
    number = "R-191"
    source = "record privacy.reidentification-requested"


class FourEyes(RuleViolated):
    """Who asks who is behind a pseudonym does not approve it, and without another's approval it is not answered."""

    code = "rules/four-eyes"
    title = "A second person has to agree"
    number = "R-192"
    source = "record privacy.reidentification-approved"


class HoldUnknown(RuleViolated):
    """A hold is placed once, under a handle of its own, and lifted once."""

    code = "rules/hold-unknown"
    title = "No such hold stands"
    number = "R-193"
    source = "record privacy.hold-placed"
