"""The life of the log and of its keys: R-95 to R-99."""

from ledger.rules.errors.violated import RuleViolated


class LogIsFrozen(RuleViolated):
    """Only records of what is done with personal data follow `log.frozen`, and none where a key was stolen."""

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


class RootUnvouched(RuleViolated):
    """A root comes and goes by a signature of a root's key over this log, the roots and the time, and in no other way:
    a policy after the first names the roots of the first, and is for development if that was.
    """

    code = "rules/root-unvouched"
    title = "No root vouches for this change of roots"
    number = "R-961"
    source = "record log.root-adopted"


class RootUnfit(RuleViolated):
    """The root that vouches, or stays, is in force; the next one is new to the log, which never had more than 16; one
    that ends is a root of the log, ends once, and is not the one that says so.
    """

    code = "rules/root-unfit"
    title = "Not a change of this log's roots"
    number = "R-962"
    source = "record log.root-adopted"


class RootTimes(RuleViolated):
    """A root begins, or ends, at a time that is to come, within a year: nothing that was admitted is judged anew."""

    code = "rules/root-times"
    title = "Roots do not change at this time"
    number = "R-963"
    source = "record log.root-retired"


class StampAhead(RuleViolated):
    """A time stamp is over a tree that stands before the entry that tells of it."""

    code = "rules/stamp-ahead"
    title = "The stamped tree is not there yet"
    number = "R-99"
    source = "record log.time-stamped"
