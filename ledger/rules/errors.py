"""Every rule is a class with a stable code and a number; `docs/reference/rules.md` lists them all.

`number` and `source` are printed there; the invariants and the states that sources name stand on the same page.
"""

from typing import ClassVar

from ledger.errors import Absent, Refused


class RuleViolated(Refused):
    """An authentic statement that a rule refuses: it is answered with a conflict and leaves a refusal entry."""

    code = "rules/violated"
    title = "A rule refuses this"
    number: ClassVar[str] = ""
    source: ClassVar[str] = ""


# Who may write what, and where


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


# Contracts and discovery


class IdentifierTaken(RuleViolated):
    """A party declares itself, under the role of its credential, and by no identifier that another one declared."""

    code = "rules/identifier-taken"
    title = "The identifier is another's"
    number = "R-16"
    source = "record party.declared"


class ContractKindContradicts(RuleViolated):
    """An FO_CSO or FO_CSP contract names its counterparty, an FO_EVU contract names no organisation; later versions
    keep the parties.
    """

    code = "rules/contract-kind"
    title = "The contract's kind contradicts its parties"
    number = "R-20"
    source = "record contract.offered"


class ContractNotCounterparty(RuleViolated):
    """An offer is accepted by the other party; an EV user's acceptance is relayed by a CSO or CSP."""

    code = "rules/contract-not-counterparty"
    title = "Only the other party can accept"
    number = "R-21"
    source = "states of contracts"


class ContractOfferOther(RuleViolated):
    """What is accepted is the latest offer, by the digest of its very statement."""

    code = "rules/contract-offer-other"
    title = "Another offer stands"
    number = "R-22"
    source = "signed by both"


class ContractNotice(RuleViolated):
    """A request is issued, and revised, as long before its start as its contracts ask for."""

    code = "rules/contract-notice"
    title = "The contracts ask for more notice"
    number = "R-251"
    source = "terms of the contract"


class SuspensionContradicts(RuleViolated):
    """A contract in force is suspended once for each cause, NOTICE by a party and other causes by the port; whoever
    suspended it resumes it.
    """

    code = "rules/suspension-contradicts"
    title = "The contract cannot be suspended or resumed so"
    number = "R-252"
    source = "states of contracts"


class ContractNotInForce(RuleViolated):
    """A voluntary request is issued and started only under contracts that both parties signed, within their validity,
    before any termination.
    """

    code = "rules/contract-not-in-force"
    title = "The contract is not in force"
    number = "R-23"
    source = "invariant 2"


class ContractNotCovering(RuleViolated):
    """A contract covers a request if it is for its site, its class of service and its direction."""

    code = "rules/contract-not-covering"
    title = "The contract does not cover this"
    number = "R-24"
    source = "records of contracts and requests"


class ContractLimit(RuleViolated):
    """No more is ordered or offered under a contract than its terms for the class allow."""

    code = "rules/contract-limit"
    title = "More than the contract allows"
    number = "R-25"
    source = "contract terms, max_w"


class ContractConflict(RuleViolated):
    """At most one contract in force per site or EVSE, class and direction, unless both are stackable."""

    code = "rules/contract-conflict"
    title = "Another operator's contract is in force here"
    number = "R-26"
    source = "conflict rule"


class PersonUnproven(RuleViolated):
    """Who relays an EV user shows the user's own signed statement of the same thing, and commits to it."""

    code = "rules/person-unproven"
    title = "The person's own words are not shown"
    number = "R-27"
    source = "invariant 6; privacy"


class DiscoveryForeign(RuleViolated):
    """A question about contract holders is answered once: with contracts that it means, which are the asking operator's
    at that site, or with a rough number if it means none.
    """

    code = "rules/discovery-foreign"
    title = "Another operator's contract may not be told"
    number = "R-28"
    source = "need to know"


# Requests and mandates


class DiscoveryIncomplete(RuleViolated):
    """An answer leaves out no contract that the question means, says how each stands, and how many there are."""

    code = "rules/discovery-incomplete"
    title = "The answer is not what the log says"
    number = "R-281"
    source = "record discovery.answered"


class DelegationAbsent(RuleViolated):
    """Who acts for another has a delegation of theirs that is on record, in force, and for that; who says a person's
    words is that person or their delegate.
    """

    code = "rules/delegation-absent"
    title = "Nobody delegated this"
    number = "R-29"
    source = "nobody acts for another without a delegation"


class DelegationContradicts(RuleViolated):
    """A delegation names its grantor and its delegate, each either as an organisation or as a person, not the same, and
    a time to come; who revokes it is its grantor or its delegate.
    """

    code = "rules/delegation-contradicts"
    title = "The delegation contradicts itself"
    number = "R-291"
    source = "record delegation.given"


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


# Credential checks


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


# Answers


class EmbeddedVerdict(RuleViolated):
    """What a function embedded in firmware did is INFORMATIVE where samples show it, else UNPROVABLE; nothing else."""

    code = "rules/embedded-verdict"
    title = "Nothing was asked for"
    number = "R-47"
    source = "record embedded.acted"


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


class CapabilityContradicts(RuleViolated):
    """An EVSE's least power is not more than its greatest, its connectors differ, and a site forecasts no more than its
    EVSEs can do.
    """

    code = "rules/capability-contradicts"
    title = "The capability contradicts itself"
    number = "R-48"
    source = "record site.configured"


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


# Opting


class BaselineShared(RuleViolated):
    """For each EVSE and instant at most one accepted request is measured against a baseline (CONGESTION, RESERVE,
    PRICE): the same saved watts would else count twice.
    """

    code = "rules/baseline-shared"
    title = "Another request counts against the same baseline"
    number = "R-56"
    source = "invariant 9: no double selling"


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


# Baseline, execution, evidence


class OptUnscheduled(RuleViolated):
    """A decision that follows from a schedule has one of the same actor, with the same choice, that was not ended, and
    none that the actor made for this request.
    """

    code = "rules/opt-unscheduled"
    title = "No schedule says so"
    number = "R-65"
    source = "record opt.scheduled"


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
    """Nothing executes before the start; a command may go out once the opt deadline has passed."""

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


# Proof of work, dispute, settlement


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
    """A participation excluded as opted out, ineligible, superseded or overridden by a grid code is so on record."""

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


class CredentialUnintended(RuleViolated):
    """What is said to be issued was intended before: the same issuer, serial number and to-be-signed bytes."""

    code = "rules/credential-unintended"
    title = "Nobody intended this credential"
    number = "R-91"
    source = "record credential.intended"


class SerialReused(RuleViolated):
    """An authority gives a serial number once (RFC 5280 section 4.1.2.2)."""

    code = "rules/serial-reused"
    title = "The serial number was given before"
    number = "R-92"
    source = "record credential.intended"


class CredentialUnknown(RuleViolated):
    """What is revoked was intended, issued or adopted here."""

    code = "rules/credential-unknown"
    title = "No such credential is on record"
    number = "R-93"
    source = "record credential.revoked"


class CredentialEnded(RuleViolated):
    """A revocation is for ever: it is said once, and what was revoked is not issued afterwards."""

    code = "rules/credential-ended"
    title = "The credential was revoked"
    number = "R-94"
    source = "record credential.revoked"


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


class StampAhead(RuleViolated):
    """A time stamp is over a tree that stands before the entry that tells of it."""

    code = "rules/stamp-ahead"
    title = "The stamped tree is not there yet"
    number = "R-99"
    source = "record log.time-stamped"


class PredecessorUnfit(RuleViolated):
    """Only entry 0 names a predecessor: another log, by a checkpoint that a key of that log signed, every line of
    which is of a key that is named.
    """

    code = "rules/predecessor-unfit"
    title = "The log cannot continue this one"
    number = "R-98"
    source = "record log.policy-adopted"


# Questions to the projection


class RequestAbsent(Absent):
    """No such request is on record."""

    code = "rules/absent-request"
    title = "No such request"


class ContractAbsent(Absent):
    """No such contract is on record."""

    code = "rules/absent-contract"
    title = "No such contract"


class SiteAbsent(Absent):
    """No such site is on record."""

    code = "rules/absent-site"
    title = "No such site"
