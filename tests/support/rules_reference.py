"""Writes `docs/reference/rules.md` from the rules: `python -m tests.support.rules_reference > that page`."""

import inspect
import pkgutil
import sys
from importlib import import_module

from ledger.rules import errors, undecided
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.writers import WRITERS

HEAD = """\
# Rules

Generated from `ledger/rules/errors/`; a test compares this page with it.

A rule is a pure function over what the log says so far. The service asks before it writes; an auditor asks again,
offline, with the same module. An authentic statement that a rule refuses is answered 409 with the rule's code and
leaves one `log.refused` entry; it changes nothing else. The version of the rules in force stands in the log's policy
(`log.policy-adopted`, member `rules`); this page is `{version}`.

A rule's source is one of the invariants or states below, a record (`records.md`), or a decision of the design.

## Invariants

What an auditor finds true of every log. Those marked *elsewhere* are not rules but checks of certificates, of
evidence, or of money; `flexledger verify` and `flexledger audit` make them.

| | invariant | rules |
|---|---|---|
| 1 | Every actor's certificate chains, has the role, and was not revoked then | R-01, *elsewhere* |
| 2 | The contract is in force when a request is issued and when it starts | R-23 |
| 3 | A check that passed precedes the acceptance, and one still holds at the start | R-41 to R-44 |
| 4 | The baseline precedes the first execution entry and the start | R-71, R-72 |
| 5 | What opted out before the deadline is never dispatched | R-70 |
| 6 | A refused opt-out was mandated, late, without standing or over the limit | R-60 to R-63 |
| 7 | A mandatory request has a directive that a system operator signed | R-31 |
| 8 | No sample batch precedes its start or is used in two proofs | R-77, R-78 |
| 9 | For each EVSE and instant, accepted capacity is at most capability, and saved watts count once | R-54, R-56 |
| 10 | A proof recomputes bit for bit | R-83, *elsewhere* |
| 11 | Service records, proof and settlement add up | R-87, *elsewhere* |
| 12 | Corrections only by reversing records | R-11, R-84 |
| 13 | Clocks agree | *elsewhere* |
| 14 | After an erasure all of this still holds | R-27, *elsewhere* |

## States of requests

Nobody writes a state: it follows from the entries and the time asked about. *T* is a timer.

| state | how it is reached | what may follow |
|---|---|---|
| ISSUED | `fsr.issued` by the FO; `fsr.revised` keeps it there and resets checks and opts | REJECTED, ACCEPTED, PARTIAL, EXPIRED, CANCELLED |
| REJECTED | `fsr.answered` REJECTED | nothing |
| EXPIRED | T: `respond_by_ms` without an answer; never under a mandate | nothing |
| ACCEPTED, PARTIAL | `fsr.answered` by the port | SCHEDULED, CANCELLED, COMPLETED |
| SCHEDULED | T: opt deadline passed and baseline committed; under a mandate at once | ACTIVE, CANCELLED, COMPLETED |
| CANCELLED | `fsr.cancelled` before the start, with the contract's notice; T: then no check passes (NO_CREDENTIAL), or no contract is in force (NO_CONTRACT) | nothing |
| ACTIVE | first `execution.noted` STARTED | SUPERSEDED, ABORTED, COMPLETED |
| SUPERSEDED | all that runs is SUPERSEDED; its `until_ms` or RESUMED ends it | ACTIVE, ABORTED, COMPLETED |
| ABORTED | `fsr.aborted` by the FO or the port | PROVEN, UNPROVABLE |
| COMPLETED | T: the end; or all that started is completed | PROVEN, UNPROVABLE |
| PROVEN, UNPROVABLE | `work.proven` by the port; UNPROVABLE also T: the contracts' `proof_within_s` is over | AGREED, DISPUTED, PROVEN by a reversing proof |
| AGREED, DISPUTED | `work.countered` by the FO; AGREED also T: the contracts' `dispute_within_s` is over | SETTLED, RESOLVED, PROVEN by a reversing proof |
| RESOLVED | `work.resolved` by the FO and the port alike, or by an AUD | SETTLED, PROVEN by a reversing proof |
| SETTLED | `settlement.lined` by the FO | nothing |

## States of participations

PROPOSED by a check, INELIGIBLE if its newest check does not pass; OPTED_IN or OPTED_OUT by decision or, from the opt
deadline on, by what the contract says of silence (one OUT suffices); MANDATED under a mandate; DISPATCHED, EXECUTING,
DONE, FAILED, UNABLE by execution entries; PARTIAL_OPT_OUT by an opt-out while it executes.

## States of opt decisions

UNDECIDED, then IN or OUT by whoever has the right, as often as they like before the deadline; by silence at the
deadline. A refused attempt changes nothing and stays visible as `log.refused`. While it executes, whoever has the right
may still leave: the participation is commanded no further, counts against the contract's limit of opt-outs, and is
proven with the others, so what it no longer delivers is missing.

## States of contracts

DRAFT (offered), WITHDRAWN by whoever offered, SIGNED (accepted, not yet valid), ACTIVE, SUSPENDED while a cause stands
(a party's notice; a credential or a claim, by the port), EXPIRED, TERMINATED (after the notice that was agreed; at once
for a breach, or a person's withdrawal of consent). A version that both signed follows the one before.
"""

SECTIONS = (
    ("0", "1", "Who may write what, and where"),
    ("2", "2", "Contracts and discovery"),
    ("3", "3", "Requests and mandates"),
    ("4", "4", "Credential checks"),
    ("5", "5", "Answers"),
    ("6", "6", "Opting"),
    ("7", "7", "Baseline, execution, evidence"),
    ("8", "8", "Proof of work, dispute, settlement"),
    ("9", "9", "The life of credentials"),
)

TAIL = """\
## What is not decided, and says so

`LogState.undecided` lists every rule that could not be decided, why, and for how many entries.

| why | when |
|---|---|
| `{scope}` | one stream is judged alone (a request's bundle): rules that need other streams |
| `{tags}` | an audit without the service's blind tags: EVSEs and sample roots cannot be told apart |
| `{person}` | a relayed person's statement is erased or was not disclosed |
| `{terms}` | the check names no contract for a participation, and the request has several |

Rules that need other streams: {across}.

Whoever takes statements in passes everything there is (`Fact.evidence` is never None there, tags are complete), so
nothing is undecided at the door; `LogState.undecidable(fact)` tells.

## Choices that the tables leave open

* **Time.** At the door the rules see the exact time. In an audit they see the entry's; where that is coarse
  (`opt.decided`, to the quarter of an hour below) an audit cannot see a lateness of less than that, and never sees one
  that was not there.
* **Deadlines are exclusive**: at the very millisecond of `opt_deadline_ms` or `respond_by_ms` it is too late.
* **The port** of a request is the CSO of its site, a CSP that is party to one of its contracts or relayed a person's
  acceptance of one, or the party that keeps the log.
* **A mandate** needs neither answer, contract nor passed check to be executed; it still needs a check that introduces
  its participations, and a LIMIT baseline. Inability is noted as a fact.
* **Commands before the start.** DISPATCHED, REJECTED, UNKNOWN, EXPIRED, UNABLE and COMMS_LOST may be noted once the
  opt deadline has passed (at once under a mandate); every other fact only from the start on.
* **An answer** is ACCEPTED if all checked participations are offered and the whole order is covered, else PARTIAL.
* **A second baseline** is admitted only if others take part than the first one counts, and nothing was executed.
* **Capacity** of an EVSE is `max_charge_w + max_discharge_w`, for each direction by itself. An offer binds at least
  what it offers, whatever `up_w` and `down_w` say. A proof, a cancellation, an abort or an opt-out frees it; coming
  back in takes it again, if it is still there. Mandatory requests take none.
* **A proof** reopens what an earlier proof closed, until the settlement. An upheld dispute needs a new proof; a
  dismissed one is settled as it stands.
* **Suspension** for a credential follows from certificates, which the rules never see: the port states it when the
  last signing credential of a party is revoked, and takes it back when another one was issued. Nothing starts under a
  suspended contract; what runs goes on, and a mandate needs none. What the certificate office states of credentials is
  judged here, by issuer and serial number.
* **Deadlines of several contracts**: a request waits for the longest, and for ever if one of them has none.
* **One baseline at a time.** Of an EVSE only one accepted request may be the difference to a baseline (CONGESTION,
  RESERVE, PRICE) at any instant, whatever its capability; what is judged by itself (SETPOINT, DROOP, FFR) may run
  beside it within that capability.
* **An intent without issuance** is no breach: it is a gap, which every audit shows until the credential is revoked.
* **Whose session.** A check tells by blind tags whose session a participation is; who opts for it is that person or has
  their delegation. Delegates are organisations, or act with an EV user's credential; they delegate no further.
* **A schedule** says beforehand what its holder wants. When it holds is personal, so the rules see only that there is
  one; the port that checks states the decision that follows, and the holder can decide otherwise until the deadline.
* **A revision** keeps site, contracts, obligation and class of service. Checks, answers and opt decisions name the
  revision that they mean, so none of them can be taken for another's.
* **Rank.** A mandate goes before what is voluntary at its site; else the lower number of `priority`, at the same EVSE.
  Whoever is superseded says by which request and until when; a proof excludes those intervals and no others.

## Writers

Which roles may state which record (R-01). EV users, system operators, conformity bodies and stations write nothing.

| record | roles |
|---|---|
"""


def rules() -> list[type[RuleViolated]]:
    """Every rule, by number."""
    topics = [import_module(f"{errors.__name__}.{topic.name}") for topic in pkgutil.iter_modules(errors.__path__)]
    return sorted(
        (
            value
            for topic in topics
            for value in vars(topic).values()
            if isinstance(value, type) and issubclass(value, RuleViolated) and value is not RuleViolated
        ),
        key=lambda rule: rule.number,
    )


def page() -> str:
    """The whole page."""
    parts = [HEAD.replace("{version}", RULES_VERSION)]
    for low, high, title in SECTIONS:
        parts += [f"## {title}\n", "| id | code | what it says | source |", "|---|---|---|---|"]
        parts += [_row(rule) for rule in rules() if low <= rule.number.removeprefix("R-")[0] <= high]
        parts.append("")
    across = sorted({f"`{rule.code}`" for named in undecided.ACROSS.values() for rule in named})
    parts.append(
        TAIL.format(
            scope=undecided.SCOPE,
            tags=undecided.TAGS,
            person=undecided.PERSON,
            terms=undecided.TERMS,
            across=", ".join([*across, "`rules/wrong-party` (whose port it is)", "`rules/policy-missing`"]),
        ).rstrip()
    )
    for kind in sorted(WRITERS, key=lambda kind: kind.TYPE):
        parts.append(f"| `{kind.TYPE}` | {', '.join(sorted(WRITERS[kind])) or 'nobody'} |")
    return "\n".join(parts) + "\n"


def _row(rule: type[RuleViolated]) -> str:
    says = " ".join(inspect.cleandoc(rule.__doc__ or "").split())
    return f"| {rule.number} | `{rule.code}` | {says} | {rule.source} |"


if __name__ == "__main__":
    sys.stdout.write(page())
