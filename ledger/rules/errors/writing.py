"""Who may write what, and where: R-01 to R-19."""

from ledger.rules.errors.violated import RuleViolated


class WriterRole(RuleViolated):
    """Only the roles that `writers.WRITERS` lists for a record type may write it."""

    code = "rules/writer-role"
    title = "The writer's role may not state this"
    number = "R-01"
    source = "states, column who"


class PersonInLog(RuleViolated):
    """An EV user's own statement is never an entry and an EV user hands none in: an organisation relays their words."""

    code = "rules/person-in-log"
    title = "A person may not stand in the log"
    number = "R-02"
    source = "privacy: nothing identifying in the log"


class NeverAnEntry(RuleViolated):
    """A record that only travels inside another one (`directive.given`) is never an entry."""

    code = "rules/never-an-entry"
    title = "This is never an entry of its own"
    number = "R-03"
    source = "mandates travel with their proof"


class NotInStream(RuleViolated):
    """The stream is the one that the record's own id names, and entry and statement agree on it."""

    code = "rules/not-in-stream"
    title = "The statement belongs in another stream"
    number = "R-04"
    source = "docs/spec/streams.md"


class WrongParty(RuleViolated):
    """The party that a record or its history names equals the party of the writer's credential, or the one it has a
    delegation from.
    """

    code = "rules/wrong-party"
    title = "The party is not the one that may speak here"
    number = "R-05"
    source = "identity comes from the credential"


class StreamIsClosed(RuleViolated):
    """Nothing follows `log.stream-closed` in its stream."""

    code = "rules/stream-closed"
    title = "The stream is closed"
    number = "R-06"
    source = "completeness of a stream"


class StreamCount(RuleViolated):
    """A closing record counts the entries before it, and names the stream in which it stands."""

    code = "rules/stream-count"
    title = "The stream has another number of entries"
    number = "R-07"
    source = "completeness of a stream"


class PolicyMissing(RuleViolated):
    """Entry 0 of a log adopts a policy."""

    code = "rules/policy-missing"
    title = "No policy is in force"
    number = "R-08"
    source = "record log.policy-adopted"


class PolicyOther(RuleViolated):
    """An entry names the index of the policy entry in force before it; entry 0 names itself."""

    code = "rules/policy-other"
    title = "Another policy is in force"
    number = "R-09"
    source = "docs/spec/entry.md"


class RulesUnknown(RuleViolated):
    """A policy names a version of the rules that this software can apply."""

    code = "rules/rules-unknown"
    title = "These rules are not known here"
    number = "R-10"
    source = "record log.policy-adopted"


class AlreadyRecorded(RuleViolated):
    """An id is used once; what is on record is corrected by a reversing record only."""

    code = "rules/already-recorded"
    title = "It is already on record"
    number = "R-11"
    source = "invariant 12"


class WrongOrder(RuleViolated):
    """The transition is in the tables of states."""

    code = "rules/wrong-order"
    title = "Not in this state"
    number = "R-12"
    source = "states"


class TimesContradict(RuleViolated):
    """A start lies before its end, a deadline not after the start."""

    code = "rules/times-contradict"
    title = "The times contradict one another"
    number = "R-13"
    source = "records of contracts and requests"


class VersionGap(RuleViolated):
    """Versions of a site or a contract count up by one."""

    code = "rules/version-gap"
    title = "The version does not follow the last one"
    number = "R-14"
    source = "a version is never edited, only followed"


class NotDisclosed(RuleViolated):
    """What rules across streams compare (EVSEs, sample roots) is disclosed to whoever takes the statement in."""

    code = "rules/not-disclosed"
    title = "What must be compared is hidden"
    number = "R-15"
    source = "invariants 8 and 9"


class SignerRevoked(RuleViolated):
    """Nobody states anything with a credential whose revocation is on record, nor has a person's such words relayed."""

    code = "rules/signer-revoked"
    title = "The signer's credential is revoked"
    number = "R-17"
    source = "invariant 1, record credential.revoked"


class PersonUncalled(RuleViolated):
    """A person's words travel with what is a person's right alone; an organisation exercises its own by itself."""

    code = "rules/person-uncalled"
    title = "No person has this right"
    number = "R-151"
    source = "records opt.decided, opt.scheduled, delegation.given"


class IdentifierTaken(RuleViolated):
    """A party declares itself, under the role of its credential, and by no identifier that another one declared which
    has a signing credential still.
    """

    code = "rules/identifier-taken"
    title = "The identifier is another's"
    number = "R-16"
    source = "record party.declared"
