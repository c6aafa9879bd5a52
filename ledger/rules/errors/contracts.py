"""Contracts and discovery: R-20 to R-29 and what was numbered after them."""

from ledger.rules.errors.violated import RuleViolated


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


class ContractNotice(RuleViolated):
    """A request is issued, and revised, as long before its start as its contracts ask for."""

    code = "rules/contract-notice"
    title = "The contracts ask for more notice"
    number = "R-251"
    source = "terms of the contract"


class SuspensionContradicts(RuleViolated):
    """A contract in force is suspended once for each cause, NOTICE by a party and other causes by the port, CLAIM where
    each of its services needs one and one was registered; whoever suspended it resumes it.
    """

    code = "rules/suspension-contradicts"
    title = "The contract cannot be suspended or resumed so"
    number = "R-252"
    source = "states of contracts"


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
