"""The life of the log and of its keys: R-95 to R-99."""

from ledger.rules.errors.violated import RuleViolated


class LogIsFrozen(RuleViolated):
    """Nothing follows `log.frozen`, in any stream."""

    code = "rules/log-frozen"
    title = "The log has ended"
    number = "R-95"
    source = "record log.frozen"


class KeyUnfit(RuleViolated):
    """A log's next key is a key of its own, new to it, and follows the one in force."""

    code = "rules/key-unfit"
    title = "This cannot be the log's next key"
    number = "R-96"
    source = "record log.key-rotated"


class KeyOverlap(RuleViolated):
    """The overlap of two keys ends in the future, within a year, and only one is under way at a time."""

    code = "rules/key-overlap"
    title = "The keys do not overlap so"
    number = "R-97"
    source = "record log.key-rotated"


class PredecessorUnfit(RuleViolated):
    """Only entry 0 names a predecessor: another log, by a checkpoint that a key of that log signed, every line of
    which is of a key that is named.
    """

    code = "rules/predecessor-unfit"
    title = "The log cannot continue this one"
    number = "R-98"
    source = "record log.policy-adopted"


class StampAhead(RuleViolated):
    """A time stamp is over a tree that stands before the entry that tells of it."""

    code = "rules/stamp-ahead"
    title = "The stamped tree is not there yet"
    number = "R-99"
    source = "record log.time-stamped"
