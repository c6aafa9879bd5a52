"""Every entry of a bundle once more, in the order of the log: the rules, and what each record says computed again."""

from collections.abc import Mapping, Sequence
from typing import Final

from api.errors import ApiError
from api.verification import log_roots
from api.verification.bundle_checks import run_again
from api.verification.bundle_context import Context, Look
from api.verification.bundle_samples import check_meter, check_samples, check_sequences, check_station
from api.verification.bundle_statements import Told, open_mandate, open_person
from api.verification.bundle_work import check_baseline, check_service_record, check_settlement, check_work
from api.verification.report import Status, status_of
from ledger.errors import LedgerError
from ledger.records.credentials import CheckRecorded
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.record import Record
from ledger.records.requests import RequestIssued
from ledger.records.work import ServiceRecorded, Settled, WorkProven
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.fact import Evidence, Fact, OpenedDirective
from ledger.rules.persons import is_relayed
from pki.errors import PkiError

WHOLLY_NEEDED: Final = frozenset({"fsr", "fsc"})
"""Streams of which everything that is disclosed belongs in the bundle; of a site's, only what a check looked at."""

LOOKS: Final[Mapping[type[Record], tuple[tuple[str, Look], ...]]] = {
    CheckRecorded: (("credential check", run_again),),
    BaselineCommitted: (("baseline", check_baseline),),
    SamplesCommitted: (
        ("samples", check_samples),
        ("station signature", check_station),
        ("meter values", check_meter),
    ),
    ServiceRecorded: (("service record", check_service_record),),
    WorkProven: (("proof of work", check_work),),
    Settled: (("settlement", check_settlement),),
}
"""What is computed again, by record type; everything else is a statement that the rules judge."""


def replay(context: Context, told: Sequence[Told]) -> None:
    """Each entry judged with what was known before it; the lines of `context` say what was found."""
    kept = 0
    for one in told:
        whole = _reveal(context, one)
        evidence = _evidence(context, one, whole)
        fact = Fact(one.index, one.entry, one.statement, one.actor, one.entry.rec, {}, evidence)
        try:
            context.state.check(fact)
        except RuleViolated as violated:
            context.lines.failed("rules", violated, **one.where)
        except LedgerError as error:
            context.lines.failed("rules", error, **one.where)
        else:
            kept += 1
        # A record may be looked at with itself known: its samples, its EVSEs.
        context.learn(one, whole)
        for check, look in LOOKS.get(type(whole), ()):
            _look(context, check, look, one, whole)
        context.state.apply(fact)
    check_sequences(context)
    if kept:
        context.lines.verified("rules", f"{kept} of {len(told)} entries keep every rule that can be decided here")
    for open_question in context.state.undecided:
        context.lines.add(
            "rules",
            Status.UNDECIDED,
            open_question.code,
            f"{open_question.why} ({open_question.count} entries)",
            first=open_question.first,
            last=open_question.last,
        )


def _look(context: Context, check: str, look: Look, told: Told, whole: Record) -> None:
    context.lines.attempt(check, lambda: look(context, told, whole), **told.where)


def _reveal(context: Context, told: Told) -> Record:
    """The record with what is disclosed of it; a disclosure that does not fit is a line."""
    try:
        whole = context.room.reveal(told.statement)
    except LedgerError as error:
        context.lines.failed("disclosures", error, **told.where)
        return told.statement.record
    if told.entry.stream.partition("/")[0] in WHOLLY_NEEDED:
        context.room.use(told.statement)
    return whole


def _evidence(context: Context, told: Told, whole: Record) -> Evidence | None:
    """What the rules need beside the record; None where a person's words cannot be shown: they stay undecided."""
    if is_relayed(whole):
        try:
            person, said = open_person(context.directory, context.room, told, whole, context.origin)
        except (LedgerError, PkiError, ApiError) as error:
            context.lines.failed("person's statement", error, **told.where)
            return None if status_of(error) is not Status.REFUTED else Evidence()
        context.lines.verified("person's statement", "the person said what was relayed", **told.where)
        return Evidence(person=person, person_statement=said)
    root = log_roots.evidence_of(context.roots, whole, told.entry.rec)
    return Evidence(directive=_directive(context, told, whole), root=root)


def _directive(context: Context, told: Told, whole: Record) -> OpenedDirective | None:
    if not isinstance(whole, RequestIssued) or whole.mandate is None:
        return None
    try:
        opened = open_mandate(context.directory, whole, told.entry.rec)
    except (LedgerError, PkiError, ApiError) as error:
        context.lines.failed("mandate", error, **told.where)
        return None
    context.lines.verified("mandate", f"a system operator's directive for {opened.record.to}", **told.where)
    return opened
